"""Gated linear attention, with layers of full attention between (Qwen3-Next, Qwen 3.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from quantize_cli.architectures.family import Moves, Output, Part, Rule, change, move
from quantize_cli.architectures.maps import Add, Map, NegExp, TiledColumns
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Gathered, Move, Rows, Squeeze, Tiled
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sizes import Named, Size, Sizes, product, rotated, total
from quantize_cli.gguf_file.fields import ValueType

#: Kinds of layers with full attention; the second is transformers' name of it where an indexer chooses the tokens.
FULL_ATTENTION = ("full_attention", "indexed_attention")


def linear_layers(model: Model) -> Iterable[int]:
    """Return the numbers of the layers with linear attention."""
    return _layers(model, ("linear_attention",))


def full_layers(model: Model) -> Iterable[int]:
    """Return the numbers of the layers with full attention."""
    return _layers(model, FULL_ATTENTION)


def _layers(model: Model, kinds: tuple[str, ...]) -> Iterable[int]:
    return [number for number, held in enumerate(model.layer_types() or _kinds(model)) if held in kinds]


def _kinds(model: Model) -> Iterable[str]:
    """Yield the kinds of a model whose config.json does not list them, as llama.cpp finds them then."""
    interval = model.config.integer("full_attention_interval") or 4
    for number in range(1, model.layers + 1):
        yield "linear_attention" if number % interval else "full_attention"


#: A gated delta net, without its norm and without the two small projections.
DELTA_NET = Part(
    (
        "attn_qkv.weight",
        "attn_gate.weight",
        "ssm_conv1d.weight",
        "ssm_dt.bias",
        "ssm_a",
        "ssm_norm.weight",
        "ssm_out.weight",
    ),
    linear_layers,
)
ALPHA_BETA = Part(("ssm_alpha.weight", "ssm_beta.weight"), linear_layers)

LINEAR_SIZES: Mapping[str, Size] = {
    "two": lambda _sizes: 2,
    "linear_kernel": Named("linear_conv_kernel_dim"),
    "linear_key_head": Named("linear_key_head_dim"),
    "linear_value_head": Named("linear_value_head_dim"),
    "linear_key_heads": Named("linear_num_key_heads"),
    "linear_value_heads": Named("linear_num_value_heads"),
    "linear_query_key": product("two", "linear_key_heads", "linear_key_head"),
    "linear_value": product("linear_value_heads", "linear_value_head"),
    "linear_qkv": total("linear_query_key", "linear_value"),
    "linear_ba": product("two", "linear_value_heads"),
    "query": product("heads", "head", "two"),  # queries and their gates
}


def _recurrent(model: Model) -> list[bool] | None:
    kinds = model.layer_types()
    return None if kinds is None else [kind == "linear_attention" for kind in kinds] + [False] * model.extra_layers


def _inner_size(model: Model) -> int:
    return model.config.required("linear_value_head_dim") * model.config.required("linear_num_value_heads")


LINEAR_ROWS = (
    U32("{arch}.ssm.conv_kernel", "linear_conv_kernel_dim"),
    U32("{arch}.ssm.state_size", "linear_key_head_dim"),
    U32("{arch}.ssm.group_count", "linear_num_key_heads"),
    U32("{arch}.ssm.time_step_rank", "linear_num_value_heads"),
    U32("{arch}.ssm.inner_size", value=_inner_size),
    ARRAY(ValueType.BOOL, "{arch}.attention.recurrent_layers", value=_recurrent),
    U32("{arch}.full_attention_interval", "full_attention_interval", value=4),
    U32("{arch}.rope.dimension_count", value=rotated(0.25)),
)


def _groups(sizes: Sizes) -> tuple[int, int]:
    """Return the number of key heads, and how many value heads share one."""
    keys = sizes.known("linear_key_heads")
    return keys, sizes.known("linear_value_heads") // keys


def _tiled(size: str, first: str | None = None) -> Moves:
    """Bring value heads of `size` rows each into the order in which ggml repeats key heads; `first` rows stay."""

    def moves(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
        keys, shared = _groups(sizes)
        return () if shared == 1 else (Tiled(keys, shared, sizes.known(size), sizes.known(first) if first else 0),)

    return moves


def interleaved_part(kind: Literal["qkv", "z"]) -> Moves:
    """Gather queries, keys and values, or the gates z, of the one projection that holds them by key head."""

    def moves(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
        groups, shared = _groups(sizes)
        key, values = sizes.known("linear_key_head"), shared * sizes.known("linear_value_head")
        qkv = groups * (2 * key + values)
        rows = qkv + groups * values
        start, size = (0, qkv) if kind == "qkv" else (qkv, rows - qkv)
        return Gathered(groups, (key, key, values, values)), Rows(rows, start, size)

    return moves


def _tiled_columns(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Map, ...]:
    keys, shared = _groups(sizes)
    return () if shared == 1 else (TiledColumns(keys, shared, sizes.known("linear_value_head")),)


#: Rules of every model with linear attention.
DELTA_NET_RULES = (
    move(r"\.linear_attn\.conv1d\.", lambda _sizes, _shape: (Squeeze(),)),
    change(r"\.A_log$", NegExp()),
    Rule(r"\.dt_bias$", (Output(".dt_proj.bias"),)),
    change(r"(?<!linear_attn\.)norm\.weight$", Add(1.0)),
)

#: Qwen 3.5: value heads become tiles.
TILING_RULES = (
    move(r"\.linear_attn\.in_proj_qkv\.", _tiled("linear_value_head", first="linear_query_key")),
    move(r"\.linear_attn\.in_proj_z\.", _tiled("linear_value_head")),
    move(r"\.linear_attn\.(in_proj_[ab]\.|A_log|dt_(bias|proj))", _tiled("one")),
    move(r"\.linear_attn\.conv1d\.", _tiled("linear_value_head", first="linear_query_key")),
    Rule(r"\.linear_attn\.out_proj\.", (Output(maps=_tiled_columns),)),
)
