"""LFM2, dense and with experts: short convolutions, with attention in some layers."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Family, Part, move, rename
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Squeeze
from quantize_cli.architectures.parts import (
    EXPERT_FFN,
    FFN,
    FFN_NORM,
    PROJECTIONS,
    QK_NORM,
    layers_behind,
    leading_layers,
)
from quantize_cli.architectures.rows import ARRAY, F32, U32
from quantize_cli.architectures.sizes import Named, Size
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE


def _attention(model: Model) -> list[int]:
    """Return the layers with attention."""
    kinds = model.layer_types() or ["full_attention"] * model.layers
    return [number for number, kind in enumerate(kinds) if kind != "conv"]


def _convolution(model: Model) -> list[int]:
    return sorted(set(range(model.layers)) - set(_attention(model)))


def _kv_heads(model: Model) -> list[int]:
    heads, attends = model.config.required("num_key_value_heads"), _attention(model)
    return [heads if number in attends else 0 for number in range(model.layers)]


def _ffn(model: Model) -> int:
    """Return the width, which may be two thirds of that of config.json, times a factor, rounded up."""
    config = model.config
    width = config.required("block_ff_dim", "intermediate_size")
    if config.flag("block_auto_adjust_ff_dim"):
        factor, step = config.number("block_ffn_dim_multiplier"), config.required("block_multiple_of")
        width = int((1.0 if factor is None else factor) * int(2 * width / 3))
        width = step * -(-width // step)
    return width


_HYBRID = (
    Part(("attn_norm.weight",)),
    *(PROJECTIONS.among(_attention), QK_NORM.among(_attention), FFN_NORM),
    Part(("shortconv.conv.weight", "shortconv.in_proj.weight", "shortconv.out_proj.weight"), _convolution),
)
_ROWS = (
    *COMMON,
    ARRAY(ValueType.INT32, "{arch}.attention.head_count_kv", value=_kv_heads),
)
_ENDS = (U32("{arch}.vocab_size", "vocab_size"), U32("{arch}.shortconv.l_cache", "conv_L_cache"))

_SIZES: dict[str, Size] = {
    "three_hidden": lambda sizes: 3 * sizes.known("hidden"),
    "conv_cache": Named("conv_L_cache"),
}

LFM2 = Family(
    architecture="lfm2",
    metadata=(
        *(*_ROWS, *_ENDS, F32("{arch}.attention.layer_norm_rms_epsilon", "norm_eps")),
        U32("{arch}.feed_forward_length", value=_ffn),
    ),
    demands=(
        *(demands.RMS_NORM, demands.VOCABULARY, Demand("shortconv.l_cache", required=True, least=1)),
        Demand("attention.head_count", required=True, least=1, each_layer=True),
    ),
    vocabulary=BPE,
    parts=(*_HYBRID, FFN),
    outside=("token_embd.weight", "token_embd_norm.weight"),
    namings=(rename(r"lfm\.", "model."),),
    rules=(move(r"\.conv\.conv\.weight$", lambda _sizes, _shape: (Squeeze(),)),),
    sizes={**_SIZES, "ffn": lambda sizes: _ffn(sizes.model)},
    shapes={
        "token_embd_norm.weight": ("hidden",),
        "shortconv.conv.weight": ("hidden", "conv_cache"),
        "shortconv.in_proj.weight": ("three_hidden", "hidden"),
        "shortconv.out_proj.weight": ("hidden", "hidden"),
    },
    foldings=(
        foldings.Folding("attn_norm", (*foldings.ATTENTION, "shortconv.in_proj")),
        foldings.FFN_NORM,
        foldings.VALUES,
        *foldings.UP,
    ),
)

#: The name table knows the experts without `model.` alone.
_EXPERT_NAMES = rename(r"^model\.(?=layers\.\d+\.feed_forward\.experts\.)", "")

LFM2_MOE = replace(
    LFM2,
    architecture="lfm2moe",
    metadata=(
        *_ROWS,
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.leading_dense_block_count", "num_dense_layers"),
        U32("{arch}.expert_gating_func", value=2),
        *_ENDS,
    ),
    demands=(*LFM2.demands, *demands.EXPERTS, Demand("expert_feed_forward_length", required=True, each_layer=True)),
    parts=(
        *_HYBRID,
        FFN.among(leading_layers),
        EXPERT_FFN.among(layers_behind),
        Part(("exp_probs_b.bias",), layers_behind),
    ),
    namings=(*LFM2.namings, rename(r"\.expert_bias$", ".expert_bias.bias"), _EXPERT_NAMES),
    sizes=_SIZES,
)
