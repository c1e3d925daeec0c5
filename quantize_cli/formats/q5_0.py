"""Q5_0: 5.5 bits per weight; x = d * (level - 16), level 0..31.

A block of 32 weights, 22 bytes:

    0    d   float16; the value of the largest magnitude over -16
    2    qh  32 bits: bit i is bit 4 of level i
    6    qs  16 bytes: byte i holds the low 4 bits of level i and, in its high half, of level i + 16
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, store_half, to_half
from quantize_cli.formats._simple import extreme_of, load_fifth_bits, pack_nibbles, shifted_levels, store_fifth_bits
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
BLOCK = 32
BLOCK_BYTES = 22
QH, QS = 2, 6


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 32 * 22]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    levels = np.empty(BLOCK, np.uint8)
    for block in range(flat.size // BLOCK):
        values = flat[block * BLOCK : (block + 1) * BLOCK]
        at = block * BLOCK_BYTES
        d = extreme_of(values) / F(-16)
        store_half(packed, at, to_half(d))
        shifted_levels(values, d, F(16.5), np.int32(31), levels)
        store_fifth_bits(levels, packed, at + QH)
        pack_nibbles(levels, packed[at + QS : at + BLOCK_BYTES])


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 32 * 22] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // BLOCK):
        at = block * BLOCK_BYTES
        d = load_half(source, at)
        bits = load_fifth_bits(source, at + QH)
        low = source[at + QS : at + BLOCK_BYTES]
        values = flat[block * BLOCK : (block + 1) * BLOCK]
        for i in range(16):
            first = np.int32(low[i] & 15) | np.int32(bits >> np.uint32(i) & np.uint32(1)) << 4
            second = np.int32(low[i] >> 4) | np.int32(bits >> np.uint32(i + 16) & np.uint32(1)) << 4
            values[i] = F(first - 16) * d
            values[i + 16] = F(second - 16) * d


Q5_0 = BlockFormat(GGMLQuantizationType.Q5_0, BLOCK, BLOCK_BYTES, quantize, dequantize)
