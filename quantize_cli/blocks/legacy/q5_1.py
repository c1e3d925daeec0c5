"""Q5_1: 6 bits per weight; x = d * level + m, level 0..31.

A block of 32 weights, 24 bytes:

    0    d   float16; without importance (max - min) / 31
    2    m   float16; without importance min
    4    qh  32 bits: bit i is bit 4 of level i
    8    qs  16 bytes: byte i holds the low 4 bits of level i and, in its high half, of level i + 16
"""

from __future__ import annotations

from quantize_cli.blocks.legacy.affine import affine_type

Q5_1 = affine_type("Q5_1", bits=5)
