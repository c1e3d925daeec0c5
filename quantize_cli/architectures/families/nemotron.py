"""Nemotron 3 and 4, and Minitron: norms less 1 with biases, no gates, and rope on a share of each head."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON, HEADS, HIDDEN
from quantize_cli.architectures.family import Family, change
from quantize_cli.architectures.maps import Add
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import (
    ATTENTION,
    ATTENTION_NORM_BIAS,
    FFN_NORM,
    FFN_NORM_BIAS,
    OUTPUT_BIAS,
    PLAIN_FFN,
    PLAIN_FFN_BIAS,
    QKV_BIAS,
)
from quantize_cli.architectures.rows import F32, STR, U32
from quantize_cli.tokenizers.vocabularies import NEMOTRON as VOCABULARY


def _factor(model: Model) -> float | None:
    return model.config.number("factor") or model.rope.number("factor") or None


def _scaling(model: Model) -> str:
    return "none" if _factor(model) is None else "linear"


def _rotated(model: Model) -> int:
    share, config = model.rope.number("partial_rotary_factor"), model.config
    return int((0.5 if share is None else share) * config.required(*HIDDEN)) // config.required(*HEADS)


NEMOTRON_4 = Family(
    architecture="nemotron",
    metadata=(
        *COMMON,
        U32("{arch}.vocab_size", "vocab_size"),
        F32("{arch}.attention.layer_norm_epsilon", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
        U32("{arch}.rope.dimension_count", value=_rotated),
        STR("{arch}.rope.scaling.type", value=_scaling),
        F32("{arch}.rope.scaling.factor", value=_factor),
    ),
    demands=(demands.LAYER_NORM, *demands.HEADS, demands.VOCABULARY),
    vocabulary=VOCABULARY,
    parts=(ATTENTION, ATTENTION_NORM_BIAS, FFN_NORM, FFN_NORM_BIAS, PLAIN_FFN),
    optional=(QKV_BIAS, OUTPUT_BIAS, PLAIN_FFN_BIAS),
    outside=("token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight"),
    rules=(change(r"norm\.weight$", Add(1.0)),),
    foldings=foldings.WITHOUT_GATE,
)
