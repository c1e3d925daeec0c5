"""IQ4_NL: 4.5 bits per weight; x = d * VALUES[level], level 0..15 in a non-linear table.

A block of 32 weights, 18 bytes:

    0    d   float16
    2    qs  16 bytes: byte i holds level i (low 4 bits) and level i + 16 (high 4 bits)
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.iq4.levels import SUB_BLOCK, decode_nearest, encode_nearest, new_brackets, search_scale
from quantize_cli.blocks.search.inverses import inverse_unless_zero
from quantize_cli.blocks.search.weights import squares, sum_of_squares, weigh_importance
from quantize_cli.simd.compile import kernel, kernel_and_part
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import load_lanes, new_lanes
from quantize_cli.simd.vector import LANES, store

F = np.float32
QS = 2


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 32] into out, uint8[n, 18]."""
    x = new_lanes(SUB_BLOCK)
    w = new_lanes(SUB_BLOCK)
    brackets = new_brackets()
    scales = new_lanes(1)
    inverses = new_lanes(1)
    for first in range(0, blocks.shape[0], LANES):
        count = min(LANES, blocks.shape[0] - first)
        load_lanes(blocks, first, count, x)
        if importance is None:
            squares(x, w)
        else:
            load_lanes(importance, first, count, w)
            weigh_importance(x, w, sum_of_squares(x) * F(2 / SUB_BLOCK), w)
        scale = search_scale(x, w, brackets)
        store(scales, 0, scale)
        store(inverses, 0, inverse_unless_zero(scale))
        for lane in range(count):
            block = out[first + lane]
            store_half(block, 0, to_half(scales[lane]))
            encode_nearest(blocks[first + lane], 0, inverses[lane], block, QS)


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 18] into out, float32[n, 32]."""
    for number in range(packed.shape[0]):
        block = packed[number]
        decode_nearest(block, QS, load_half(block, 0), out[number], 0)


IQ4_NL = BlockType("IQ4_NL", pack, unpack)
