"""Qwen 3.5, dense and with experts: three layers of gated linear attention for each layer of full attention."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.qwen3 import EXPERT_ROWS
from quantize_cli.architectures.family import Family, Moves, Output, Part, Rule, change, extra_layers, move
from quantize_cli.architectures.maps import Add, Map, NegExp, TiledColumns
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move, Squeeze, Tiled
from quantize_cli.architectures.mtp import MTP, MTP_NAMINGS, mtp_layers
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, QK_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sizes import Named, Sizes, head_size, product, total
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE


def _layers(kind: str) -> Callable[[Model], Iterable[int]]:
    return lambda model: [number for number, held in enumerate(model.layer_types() or ()) if held == kind]


def _recurrent(model: Model) -> list[bool] | None:
    kinds = model.layer_types()
    return None if kinds is None else [kind == "linear_attention" for kind in kinds] + [False] * model.extra_layers


def _rotated(model: Model) -> int | None:
    head = head_size(model)
    partial = model.rope.number("partial_rotary_factor")
    return None if head is None else int(head * (0.25 if partial is None else partial))


def _inner_size(model: Model) -> int:
    return model.config.required("linear_value_head_dim") * model.config.required("linear_num_value_heads")


def _sections(model: Model) -> list[int] | None:
    """llama.cpp needs the sections of rope even where config.json leaves them out."""
    return None if "mrope_section" in model.rope.values else [11, 11, 10, 0]


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


def _tiled_columns(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Map, ...]:
    keys, shared = _groups(sizes)
    return () if shared == 1 else (TiledColumns(keys, shared, sizes.known("linear_value_head")),)


_LINEAR_ATTENTION = Part(
    (
        "attn_norm.weight",
        "attn_qkv.weight",
        "attn_gate.weight",
        "ssm_conv1d.weight",
        "ssm_dt.bias",
        "ssm_a",
        "ssm_alpha.weight",
        "ssm_beta.weight",
        "ssm_norm.weight",
        "ssm_out.weight",
    ),
    _layers("linear_attention"),
)
_POST_NORM = Part(("post_attention_norm.weight",))
_EXPERTS = (EXPERT_FFN, SHARED_EXPERT_FFN, Part(("ffn_gate_inp_shexp.weight",)))
_FULL = _layers("full_attention")

QWEN3_5 = Family(
    architecture="qwen35",
    metadata=(
        *COMMON,
        *EXPERT_ROWS,
        U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers or None),
        U32("{arch}.ssm.conv_kernel", "linear_conv_kernel_dim"),
        U32("{arch}.ssm.state_size", "linear_key_head_dim"),
        U32("{arch}.ssm.group_count", "linear_num_key_heads"),
        U32("{arch}.ssm.time_step_rank", "linear_num_value_heads"),
        U32("{arch}.ssm.inner_size", value=_inner_size),
        ARRAY(ValueType.BOOL, "{arch}.attention.recurrent_layers", value=_recurrent),
        U32("{arch}.full_attention_interval", "full_attention_interval", value=4),
        U32("{arch}.rope.dimension_count", value=_rotated),
        ARRAY(ValueType.INT32, "{arch}.rope.dimension_sections", value=_sections),
    ),
    vocabulary=BPE,
    parts=(
        _LINEAR_ATTENTION,
        ATTENTION.among(_FULL),
        QK_NORM.among(_FULL),
        _POST_NORM,
        FFN,
    ),
    optional=tuple(part.among(extra_layers) for part in (ATTENTION, QK_NORM, _POST_NORM, FFN, MTP)),
    namings=MTP_NAMINGS,
    rules=(
        move(r"\.linear_attn\.in_proj_qkv\.", _tiled("linear_value_head", first="linear_query_key")),
        move(r"\.linear_attn\.in_proj_z\.", _tiled("linear_value_head")),
        move(r"\.linear_attn\.(in_proj_[ab]\.|A_log|dt_bias)", _tiled("one")),
        move(r"\.linear_attn\.conv1d\.", lambda _sizes, _shape: (Squeeze(),)),
        move(r"\.linear_attn\.conv1d\.", _tiled("linear_value_head", first="linear_query_key")),
        Rule(r"\.linear_attn\.out_proj\.", (Output(maps=_tiled_columns),)),
        change(r"\.A_log$", NegExp()),
        change(r"(?<!linear_attn\.)norm\.weight$", Add(1.0)),
        Rule(r"\.dt_bias$", (Output(".dt_proj.bias"),)),
    ),
    sizes={
        "query": product("heads", "head", "two"),  # queries and their gates
        "two": lambda _sizes: 2,
        "linear_kernel": Named("linear_conv_kernel_dim"),
        "linear_key_head": Named("linear_key_head_dim"),
        "linear_value_head": Named("linear_value_head_dim"),
        "linear_key_heads": Named("linear_num_key_heads"),
        "linear_value_heads": Named("linear_num_value_heads"),
        "linear_query_key": product("two", "linear_key_heads", "linear_key_head"),
        "linear_value": product("linear_value_heads", "linear_value_head"),
        "linear_qkv": total("linear_query_key", "linear_value"),
    },
    extra_layers=mtp_layers,
)

QWEN3_5_MOE = replace(
    QWEN3_5,
    architecture="qwen35moe",
    parts=(*(part for part in QWEN3_5.parts if part != FFN), *_EXPERTS),
    optional=tuple(part.among(extra_layers) for part in (ATTENTION, QK_NORM, _POST_NORM, *_EXPERTS, MTP)),
    needed=("vocab", "hidden", "heads", "expert_ffn"),
    rules=(*QWEN3_5.rules, *STACKED_EXPERTS),
)
