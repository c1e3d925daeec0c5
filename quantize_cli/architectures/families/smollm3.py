"""SmolLM3: Llama's decoder, with layers without rotation."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.parts import ATTENTION, FFN, FFN_NORM

SMOLLM3 = replace(
    LLAMA, architecture="smollm3", demands=demands.ATTENTION, parts=(ATTENTION, FFN_NORM, FFN), optional=()
)
