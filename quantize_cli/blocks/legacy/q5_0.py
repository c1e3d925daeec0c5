"""Q5_0: 5.5 bits per weight; x = d * (level - 16), level 0..31.

A block of 32 weights, 22 bytes:

    0    d   float16; without importance the value of the largest magnitude over -16
    2    qh  32 bits: bit i is bit 4 of level i
    6    qs  16 bytes: byte i holds the low 4 bits of level i and, in its high half, of level i + 16
"""

from __future__ import annotations

from quantize_cli.blocks.legacy.symmetric import symmetric_type

Q5_0 = symmetric_type("Q5_0", bits=5)
