"""Seed-OSS: Llama's decoder with biases on queries, keys and values."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.family import Family, Part
from quantize_cli.architectures.parts import ATTENTION, FFN, QKV_BIAS
from quantize_cli.tokenizers.vocabularies import BPE

SEED_OSS = Family(
    architecture="seed_oss",
    metadata=COMMON,
    demands=demands.ATTENTION,
    vocabulary=BPE,
    parts=(ATTENTION, Part(("post_attention_norm.weight",)), FFN),
    optional=(QKV_BIAS,),
    foldings=foldings.NAMED_BY_PLACE,
)
