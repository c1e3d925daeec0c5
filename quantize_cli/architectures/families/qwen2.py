"""Qwen 1.5, 2 and 2.5: Llama's decoder with biases on queries, keys and values; KORMo has the decoder without them."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.parts import ATTENTION, FFN, FFN_NORM, QKV_BIAS
from quantize_cli.architectures.pooling import pooling_type
from quantize_cli.architectures.rows import U32
from quantize_cli.tokenizers.vocabularies import QWEN2 as QWEN2_VOCABULARY

QWEN2 = Family(
    architecture="qwen2",
    metadata=(*COMMON, U32("{arch}.pooling_type", value=lambda model: pooling_type(model.sidecars))),
    demands=demands.ATTENTION,
    vocabulary=QWEN2_VOCABULARY,
    parts=(ATTENTION, QKV_BIAS, FFN_NORM, FFN),
    foldings=foldings.USUAL,
)

KORMO = replace(QWEN2, parts=(ATTENTION, FFN_NORM, FFN), optional=(QKV_BIAS,))
