"""Q4_0: 4.5 bits per weight; x = d * (level - 8), level 0..15.

A block of 32 weights, 18 bytes:

    0    d   float16; the value of the largest magnitude over -8
    2    qs  16 bytes: byte i holds level i (low 4 bits) and level i + 16 (high 4 bits)
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, store_half, to_half
from quantize_cli.formats._simple import extreme_of, pack_nibbles, shifted_levels
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
BLOCK = 32
BLOCK_BYTES = 18


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 32 * 18]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    levels = np.empty(BLOCK, np.uint8)
    for block in range(flat.size // BLOCK):
        values = flat[block * BLOCK : (block + 1) * BLOCK]
        at = block * BLOCK_BYTES
        d = extreme_of(values) / F(-8)
        store_half(packed, at, to_half(d))
        shifted_levels(values, d, F(8.5), np.int32(15), levels)
        pack_nibbles(levels, packed[at + 2 : at + BLOCK_BYTES])


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 32 * 18] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // BLOCK):
        at = block * BLOCK_BYTES
        d = load_half(source, at)
        bytes_ = source[at + 2 : at + BLOCK_BYTES]
        values = flat[block * BLOCK : (block + 1) * BLOCK]
        for i in range(16):
            values[i] = F(np.int32(bytes_[i] & 15) - np.int32(8)) * d
            values[i + 16] = F(np.int32(bytes_[i] >> 4) - np.int32(8)) * d


Q4_0 = BlockFormat(GGMLQuantizationType.Q4_0, BLOCK, BLOCK_BYTES, quantize, dequantize)
