"""Q5_1: 6 bits per weight; x = d * level + m, level 0..31.

A block of 32 weights, 24 bytes:

    0    d   float16; (max - min) / 31
    2    m   float16; min
    4    qh  32 bits: bit i is bit 4 of level i
    8    qs  16 bytes: byte i holds the low 4 bits of level i and, in its high half, of level i + 16
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, store_half, to_half
from quantize_cli.formats._simple import inverse_or_zero, load_fifth_bits, pack_nibbles, store_fifth_bits
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
BLOCK = 32
BLOCK_BYTES = 24
M, QH, QS = 2, 4, 8


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 32 * 24]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    levels = np.empty(BLOCK, np.uint8)
    for block in range(flat.size // BLOCK):
        values = flat[block * BLOCK : (block + 1) * BLOCK]
        at = block * BLOCK_BYTES
        low = values[0]
        high = values[0]
        for i in range(BLOCK):
            low = min(low, values[i])
            high = max(high, values[i])
        d = (high - low) / F(31)
        inverse = inverse_or_zero(d)
        store_half(packed, at, to_half(d))
        store_half(packed, at + M, to_half(low))
        for i in range(BLOCK):
            levels[i] = np.int32((values[i] - low) * inverse + F(0.5))
        store_fifth_bits(levels, packed, at + QH)
        pack_nibbles(levels, packed[at + QS : at + BLOCK_BYTES])


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 32 * 24] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // BLOCK):
        at = block * BLOCK_BYTES
        d = load_half(source, at)
        m = load_half(source, at + M)
        bits = load_fifth_bits(source, at + QH)
        low = source[at + QS : at + BLOCK_BYTES]
        values = flat[block * BLOCK : (block + 1) * BLOCK]
        for i in range(16):
            first = np.int32(low[i] & 15) | np.int32(bits >> np.uint32(i) & np.uint32(1)) << 4
            second = np.int32(low[i] >> 4) | np.int32(bits >> np.uint32(i + 16) & np.uint32(1)) << 4
            values[i] = F(first) * d + m
            values[i + 16] = F(second) * d + m


Q5_1 = BlockFormat(GGMLQuantizationType.Q5_1, BLOCK, BLOCK_BYTES, quantize, dequantize)
