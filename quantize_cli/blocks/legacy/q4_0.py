"""Q4_0: 4.5 bits per weight; x = d * (level - 8), level 0..15.

A block of 32 weights, 18 bytes:

    0    d   float16; without importance the value of the largest magnitude over -8
    2    qs  16 bytes: byte i holds level i (low 4 bits) and level i + 16 (high 4 bits)
"""

from __future__ import annotations

from quantize_cli.blocks.legacy.symmetric import symmetric_type

Q4_0 = symmetric_type("Q4_0", bits=4)
