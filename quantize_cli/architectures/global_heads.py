"""Layers of full attention with heads of their own width and number, beside layers that slide (Gemma 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.family import Part
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rope import main_parameters
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.shapes import Shape
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.architectures.sliding_layers import slides
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import ValueType

_ROWS = re.compile(r"(?:^|\.)layers\.(\d{1,4})\.(?:self_attn\.([qk])_proj|mlp\.(gate)_proj)\.weight$", re.ASCII)

#: Rows that depend on the layer; `check_rows` compares them.
ROWS_OF_LAYERS: Mapping[str, Shape] = {
    "attn_q.weight": ("any", "hidden"),
    "attn_k.weight": ("any", "hidden"),
    "attn_v.weight": ("any", "hidden"),
    "attn_output.weight": ("hidden", "any"),
    "attn_q_norm.weight": ("any",),
    "attn_k_norm.weight": ("any",),
    "ffn_gate.weight": ("any", "hidden"),
    "ffn_up.weight": ("any", "hidden"),
    "ffn_down.weight": ("hidden", "any"),
}


def own_layers(model: Model) -> range:
    """Return the layers that have keys and values of their own; the rest uses those of earlier layers."""
    return range(max(model.layers - (model.config.natural("num_kv_shared_layers") or 0), 0))


def layers_with_values(model: Model) -> Iterator[int]:
    """Yield the layers with values of their own, unlike those whose values are their keys."""
    alike = model.config.flag("attention_k_eq_v") or False
    return (layer for layer in own_layers(model) if not (alike and not slides(model)[layer]))


def global_head(model: Model) -> int:
    """Return the width of a head in layers of full attention."""
    return _of_full(model, "head_dim") or model.config.required("head_dim")


def kv_heads(model: Model) -> list[int] | None:
    """Return each layer's number of heads of keys, or None if config.json does not give layers their own."""
    full, sliding = _of_full(model, "num_key_value_heads"), model.config.integer("num_key_value_heads")
    return None if full is None or sliding is None else [sliding if slide else full for slide in slides(model)]


def ffn_widths(model: Model) -> list[int] | None:
    """Return each layer's width of the feed-forward network, or None if all have the same."""
    if not model.config.flag("use_double_wide_mlp"):
        return None
    width = model.config.required("intermediate_size")
    return [width if layer in own_layers(model) else 2 * width for layer in range(model.layers)]


def check_rows(model: Model) -> None:
    """Compare the rows of queries, keys and gates with config.json, layer by layer.

    Raises:
        CheckpointError: A tensor has other rows.
    """
    config, pattern = model.config, slides(model)
    heads, sliding, full = config.required("num_attention_heads"), config.required("head_dim"), global_head(model)
    keys = kv_heads(model) or [config.required("num_key_value_heads")] * model.layers
    widths = ffn_widths(model) or [config.required("intermediate_size")] * model.layers
    for name, info in model.infos.items():
        match = None if "vision" in name or "audio" in name else _ROWS.search(name)
        if match is None or (layer := int(match[1])) >= len(pattern):
            continue
        head = sliding if pattern[layer] else full
        wanted = {"q": heads * head, "k": keys[layer] * head, "gate": widths[layer]}[match[2] or match[3]]
        if info.shape and info.shape[0] != wanted:
            raise CheckpointError(
                f"{shown(name)} of {info.file} has {info.shape[0]} rows, but {config.where} leads to {wanted} in this "
                "layer; compare layer_types and the numbers and widths of heads with the model's own config.json."
            )


def _of_full(model: Model, name: str) -> int | None:
    """Return a size that config.json gives the first layer of full attention that has its own."""
    layers = model.config.section("per_layer_config")
    pattern = slides(model)
    for number in layers.values:
        if number.isdecimal() and int(number) < len(pattern) and not pattern[int(number)]:
            own = Config(model.config.where, layers.section(number).values)
            if (size := own.integer(name)) is not None:
                return size
    return None


def proportional_factors(sizes: Sizes) -> tuple[TensorRecipe, ...]:
    """Return the divisors of frequencies, which stop the rotation of a part of each head."""
    rope, half = main_parameters(sizes.model.rope), global_head(sizes.model) // 2
    turning = min(int(2 * half * (rope.number("partial_rotary_factor") or 1.0) / 2), half)
    values = (1.0,) * turning + (1e30,) * (half - turning)
    return (TensorRecipe("rope_freqs.weight", (half,), (), values=values, stored_type="F32"),)


_ATTENTION = Part(("attn_norm.weight", "attn_q.weight", "attn_output.weight", "attn_q_norm.weight"))
KEYS = Part(("attn_k.weight", "attn_k_norm.weight"))
VALUES = Part(("attn_v.weight",))
GLOBAL_PARTS = (_ATTENTION, KEYS.among(own_layers), VALUES.among(layers_with_values))

GLOBAL_ROWS = (
    *(U32(f"{{arch}}.attention.{name}_length", value=global_head) for name in ("key", "value")),
    ARRAY(ValueType.INT32, "{arch}.feed_forward_length", value=ffn_widths),
    ARRAY(ValueType.INT32, "{arch}.attention.head_count_kv", value=kv_heads),
    U32("{arch}.rope.dimension_count", value=global_head),
    U32("{arch}.rope.dimension_count_swa", "head_dim"),
)
_DEMANDED = ("attention.sliding_window", "attention.key_length_swa", "attention.value_length_swa")
GLOBAL_DEMANDS = (
    Demand("attention.shared_kv_layers"),
    Demand("attention.sliding_window_pattern", ValueType.BOOL, required=True, each_layer=True),
    Demand("embedding_length_per_layer_input", required=True),
    *(Demand(key, required=True) for key in _DEMANDED),
)
