"""Q4_1: 5 bits per weight; x = d * level + m, level 0..15.

A block of 32 weights, 20 bytes:

    0    d   float16; without importance (max - min) / 15
    2    m   float16; without importance min
    4    qs  16 bytes: byte i holds level i (low 4 bits) and level i + 16 (high 4 bits)
"""

from __future__ import annotations

from quantize_cli.blocks.legacy.affine import affine_type

Q4_1 = affine_type("Q4_1", bits=4)
