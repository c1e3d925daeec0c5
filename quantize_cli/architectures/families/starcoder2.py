"""StarCoder 2: layer norms with biases, and a feed-forward network without gates."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.family import Family
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
from quantize_cli.tokenizers.vocabularies import BPE

STARCODER2 = Family(
    architecture="starcoder2",
    metadata=COMMON,
    demands=(demands.LAYER_NORM, *demands.HEADS),
    vocabulary=BPE,
    parts=(
        *(ATTENTION, ATTENTION_NORM_BIAS, OUTPUT_BIAS),
        *(FFN_NORM, FFN_NORM_BIAS, PLAIN_FFN, PLAIN_FFN_BIAS),
    ),
    optional=(QKV_BIAS,),
    outside=("token_embd.weight", "output_norm.weight", "output_norm.bias"),
    foldings=foldings.WITHOUT_GATE,
)
