"""Jais 2: biases everywhere, layer norms, and no gates."""

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
from quantize_cli.architectures.rows import U32
from quantize_cli.architectures.sizes import head_size
from quantize_cli.tokenizers.vocabularies import BPE

JAIS2 = Family(
    architecture="jais2",
    metadata=(*COMMON, U32("{arch}.rope.dimension_count", value=head_size)),
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
