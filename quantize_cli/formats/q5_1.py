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
from quantize_cli.formats._simple import extent, inverse_or_zero, load_fifth_bits, pack_nibbles, store_fifth_bits
from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed

F = np.float32
BLOCK = 32
BLOCK_BYTES = 24
M, QH, QS = 2, 4, 8


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 32] -> out uint8[n, 24]."""
    bits = blocks.view(np.int32)
    levels = np.empty(blocks.shape[1], np.uint8)
    for number in range(blocks.shape[0]):
        values, block = blocks[number], out[number]
        low, high = extent(bits[number])
        d = (high - low) / F(31)
        inverse = inverse_or_zero(d)
        store_half(block, 0, to_half(d))
        store_half(block, M, to_half(low))
        for i in range(values.size):
            levels[i] = np.int32((values[i] - low) * inverse + F(0.5))
        store_fifth_bits(levels, block[QH:QS])
        pack_nibbles(levels, block[QS:])


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 24] -> out float32[n, 32]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        m = load_half(block, M)
        bits = load_fifth_bits(block[QH:QS])
        low = block[QS:]
        half = values.size // 2
        for i in range(half):
            first = np.int32(low[i] & 15) | np.int32(bits >> np.uint32(i) & np.uint32(1)) << 4
            second = np.int32(low[i] >> 4) | np.int32(bits >> np.uint32(i + half) & np.uint32(1)) << 4
            values[i] = F(first) * d + m
            values[i + half] = F(second) * d + m


Q5_1 = BlockFormat(GGMLQuantizationType.Q5_1, BLOCK, BLOCK_BYTES, pack, unpack)
