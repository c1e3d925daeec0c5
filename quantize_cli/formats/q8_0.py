"""Q8_0: 8.5 bits per weight; x = d * level, level -127..127.

A block of 32 weights, 34 bytes:

    0    d   float16
    2    qs  32 int8
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, store_half, to_half
from quantize_cli.formats._simple import inverse_or_zero, largest_magnitude, round_away
from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed

F = np.float32
BLOCK = 32
BLOCK_BYTES = 34


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 32] -> out uint8[n, 34]."""
    bits = blocks.view(np.int32)
    for number in range(blocks.shape[0]):
        values, block = blocks[number], out[number]
        d = largest_magnitude(bits[number]) / F(127)
        inverse = inverse_or_zero(d)
        store_half(block, 0, to_half(d))
        for i in range(values.size):
            block[2 + i] = np.uint8(np.int8(np.int32(round_away(values[i] * inverse))))


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 34] -> out float32[n, 32]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        for i in range(values.size):
            values[i] = F(np.int8(block[2 + i])) * d


Q8_0 = BlockFormat(GGMLQuantizationType.Q8_0, BLOCK, BLOCK_BYTES, pack, unpack)
