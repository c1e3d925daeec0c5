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
from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed

F = np.float32
BLOCK = 32
BLOCK_BYTES = 18


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 32] -> out uint8[n, 18]."""
    bits = blocks.view(np.int32)
    levels = np.empty(blocks.shape[1], np.uint8)
    for number in range(blocks.shape[0]):
        block = out[number]
        d = extreme_of(bits[number]) / F(-8)
        store_half(block, 0, to_half(d))
        shifted_levels(blocks[number], d, F(8.5), np.int32(15), levels)
        pack_nibbles(levels, block[2:])


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 18] -> out float32[n, 32]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        half = values.size // 2
        for i in range(half):
            values[i] = F(np.int32(block[2 + i] & 15) - np.int32(8)) * d
            values[i + half] = F(np.int32(block[2 + i] >> 4) - np.int32(8)) * d


Q4_0 = BlockFormat(GGMLQuantizationType.Q4_0, BLOCK, BLOCK_BYTES, pack, unpack)
