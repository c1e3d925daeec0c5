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
from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed

F = np.float32
BLOCK = 32
BLOCK_BYTES = 22
QH, QS = 2, 6


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 32] -> out uint8[n, 22]."""
    bits = blocks.view(np.int32)
    levels = np.empty(blocks.shape[1], np.uint8)
    for number in range(blocks.shape[0]):
        block = out[number]
        d = extreme_of(bits[number]) / F(-16)
        store_half(block, 0, to_half(d))
        shifted_levels(blocks[number], d, F(16.5), np.int32(31), levels)
        store_fifth_bits(levels, block[QH:QS])
        pack_nibbles(levels, block[QS:])


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 22] -> out float32[n, 32]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        bits = load_fifth_bits(block[QH:QS])
        low = block[QS:]
        half = values.size // 2
        for i in range(half):
            first = np.int32(low[i] & 15) | np.int32(bits >> np.uint32(i) & np.uint32(1)) << 4
            second = np.int32(low[i] >> 4) | np.int32(bits >> np.uint32(i + half) & np.uint32(1)) << 4
            values[i] = F(first - 16) * d
            values[i + half] = F(second - 16) * d


Q5_0 = BlockFormat(GGMLQuantizationType.Q5_0, BLOCK, BLOCK_BYTES, pack, unpack)
