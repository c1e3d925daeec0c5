"""Mellum 2: norms of heads, experts, and layers that attend to a window."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN_NORM, QK_NORM
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sliding_layers import slides
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE


def _window(model: Model) -> int | None:
    return None if model.config.flag("use_sliding_window") is False else model.config.integer("sliding_window")


def _pattern(model: Model) -> list[bool] | None:
    return None if _window(model) is None else slides(model)


MELLUM = Family(
    architecture="mellum",
    metadata=(
        *COMMON,
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.attention.sliding_window", value=_window),
        ARRAY(ValueType.BOOL, "{arch}.attention.sliding_window_pattern", value=_pattern),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("attention.sliding_window"),
    ),
    vocabulary=BPE,
    parts=(ATTENTION, QK_NORM, FFN_NORM, EXPERT_FFN),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=STACKED_EXPERTS,
    foldings=foldings.USUAL,
)
