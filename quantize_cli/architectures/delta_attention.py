"""Kimi's delta attention (KDA): linear attention whose queries, keys and values have convolutions of their own."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Output, Part, Rule, change, move
from quantize_cli.architectures.maps import NegExp
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move, Reshaped
from quantize_cli.architectures.rows import ARRAY, F32, U32, Source
from quantize_cli.architectures.shapes import Shape
from quantize_cli.architectures.sizes import Size, Sizes, product
from quantize_cli.gguf_file.fields import ValueType

#: The tensors of a layer beside those of any attention.
DELTA_ATTENTION = Part(
    (
        "attn_q.weight",
        "attn_k.weight",
        "attn_v.weight",
        "ssm_conv1d_q.weight",
        "ssm_conv1d_k.weight",
        "ssm_conv1d_v.weight",
        "ssm_f_a.weight",
        "ssm_f_b.weight",
        "ssm_beta.weight",
        "ssm_a",
        "ssm_dt.bias",
        "ssm_g_a.weight",
        "ssm_g_b.weight",
        "ssm_norm.weight",
        "attn_output.weight",
    )
)


def _of_section(name: str) -> Source:
    return lambda model: model.config.section("linear_attn_config").get(name)


def delta_layers(model: Model) -> list[int]:
    """Return the layers with delta attention, by `linear_attn_config` or `layer_types` of config.json."""
    full = model.config.section("linear_attn_config").naturals("full_attn_layers")
    if full is not None:  # numbers from 1 on
        return sorted(set(range(model.layers)) - {number - 1 for number in full})
    return [number for number, kind in enumerate(model.layer_types() or ()) if kind == "linear_attention"]


def latent_layers(model: Model) -> list[int]:
    """Return the layers with latent attention."""
    return sorted(set(range(model.layers)) - set(delta_layers(model)))


def _kv_heads(model: Model) -> list[int]:
    delta = set(delta_layers(model))
    return [int(number not in delta) for number in range(model.blocks)]


#: 0 for layers of delta attention, by which llama.cpp knows them.
KV_HEADS_BY_LAYER = ARRAY(ValueType.INT32, "{arch}.attention.head_count_kv", value=_kv_heads)

DELTA_ROWS = (
    U32("{arch}.ssm.conv_kernel", value=_of_section("short_conv_kernel_size")),
    U32("{arch}.kda.head_dim", value=_of_section("head_dim")),
)
LOWER_BOUND = F32("{arch}.kda.gate_lower_bound", value=_of_section("gate_lower_bound"))
DELTA_DEMANDS = (
    Demand("ssm.conv_kernel", required=True, least=1),
    Demand("kda.head_dim", required=True, least=1),
    Demand("attention.head_count_kv", each_layer=True),
)


def _size(name: str) -> Size:
    return lambda sizes: sizes.model.config.section("linear_attn_config").integer(name)


DELTA_SIZES: Mapping[str, Size] = {
    "delta_kernel": _size("short_conv_kernel_size"),
    "delta_head": _size("head_dim"),
    "delta_inner": product("heads", "delta_head"),
    "either": lambda _sizes: None,  # a size that is one in layers of one kind and another in the others
}
DELTA_SHAPES: dict[str, Shape] = {
    "attn_q.weight": ("either", "hidden"),
    "attn_k.weight": ("delta_inner", "hidden"),
    "attn_v.weight": ("delta_inner", "hidden"),
    "attn_output.weight": ("hidden", "either"),
    **{f"ssm_conv1d_{name}.weight": ("delta_inner", "one", "delta_kernel") for name in "qkv"},
    **{f"ssm_{name}_a.weight": ("delta_head", "hidden") for name in "fg"},
    **{f"ssm_{name}_b.weight": ("delta_inner", "delta_head") for name in "fg"},
    "ssm_beta.weight": ("heads", "hidden"),
    "ssm_dt.bias": ("delta_inner",),
    "ssm_norm.weight": ("delta_head",),
}


def _of_channels(sizes: Sizes, shape: tuple[int, ...]) -> tuple[Move, ...]:
    return (Reshaped((shape[0], 1, sizes.known("delta_kernel"))),)


#: Rules for all but the decay, whose shape differs between families.
DELTA_RULES = (
    move(r"\.[qkv]_conv1d\.weight$", _of_channels),
    Rule(r"\.dt_bias$", (Output(".dt_proj.bias"),)),
    change(r"\.A_log$", NegExp()),
)
