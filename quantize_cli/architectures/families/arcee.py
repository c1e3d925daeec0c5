"""Arcee's AFM: Llama's decoder with a feed-forward network without gates."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.parts import ATTENTION, FFN_NORM, PLAIN_FFN
from quantize_cli.architectures.pooling import pooling_type
from quantize_cli.architectures.rows import U32

ARCEE = replace(
    LLAMA,
    architecture="arcee",
    metadata=(*LLAMA.metadata, U32("{arch}.pooling_type", value=lambda model: pooling_type(model.sidecars))),
    demands=demands.ATTENTION,
    parts=(ATTENTION, FFN_NORM, PLAIN_FFN),
    optional=(),
    foldings=foldings.WITHOUT_GATE,
)
