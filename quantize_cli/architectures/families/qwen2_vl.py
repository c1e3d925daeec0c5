"""Qwen 2-VL, 2.5-VL and 2.5-Omni, text parts: Qwen 2's decoder with rope in three dimensions."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.families.qwen2 import QWEN2
from quantize_cli.architectures.family import rename
from quantize_cli.architectures.mrope import SECTIONS

QWEN2_VL = replace(
    QWEN2,
    architecture="qwen2vl",
    metadata=COMMON,
    demands=(*QWEN2.demands, SECTIONS),
    namings=(rename(r"^thinker\.", ""),),  # Omni's part that understands; the part that speaks is left out
    foldings=(),
)
