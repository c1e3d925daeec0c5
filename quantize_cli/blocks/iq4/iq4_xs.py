"""IQ4_XS: 4.25 bits per weight; x = d * (scale - 32) * VALUES[level], level 0..15 in a non-linear table.

A super-block of 256 weights, 8 sub-blocks of 32, 136 bytes:

    0    d         float16
    2    scales_h  16 bits: bits 2j and 2j + 1 are the high 2 bits of scale j
    4    scales_l  4 bytes: byte p holds the low 4 bits of scale 2p and, in its high half, of scale 2p + 1
    8    qs        128 bytes: byte 16 j + i holds levels i (low 4 bits) and i + 16 (high 4 bits) of sub-block j
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantize_cli.blocks.base import SUPER_BLOCK, Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.iq4.levels import (
    SUB_BLOCK,
    Brackets,
    decode_nearest,
    encode_nearest,
    new_brackets,
    search_scale,
)
from quantize_cli.blocks.search.inverses import inverse_unless_zero
from quantize_cli.blocks.search.symmetric import first_extreme, levels_from_zero
from quantize_cli.blocks.search.weights import squares, sum_of_squares, weigh_importance
from quantize_cli.simd.compile import inner, kernel, kernel_and_part, maker
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import Lanes, load_lanes, new_lanes
from quantize_cli.simd.vector import LANES, load, splat, store, to_floats

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCKS = 8
BOTTOM = -32
SCALES_H, SCALES_L, QS = 2, 4, 8


class Work(NamedTuple):
    """Room for LANES super-blocks; flat float32 buffers of vectors."""

    x: Lanes  #: 256 vectors
    importance: Lanes  #: 256 vectors
    w: Lanes  #: 32 vectors
    brackets: Brackets
    scales: Lanes  #: 8 vectors: the scales that were found
    stored: Lanes  #: 8 vectors: levels 0..63 of the scales
    inverses: Lanes  #: 8 vectors: of what the stored scales stand for
    d: Lanes  #: 1 vector, before it is rounded to float16


@maker
def _new_work() -> Work:
    return Work(
        new_lanes(SUPER_BLOCK),
        new_lanes(SUPER_BLOCK),
        new_lanes(SUB_BLOCK),
        new_brackets(),
        new_lanes(SUB_BLOCKS),
        new_lanes(SUB_BLOCKS),
        new_lanes(SUB_BLOCKS),
        new_lanes(1),
    )


@inner
def _fit(blocks: Blocks, importance: Importance | None, first: int, work: Work) -> int:
    """Fit up to LANES super-blocks, from number `first` on: their stored scales and d; return how many."""
    count: int = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    variance = splat(F(0))
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
        variance = sum_of_squares(work.x) * F(2 / SUPER_BLOCK)
    for j in range(SUB_BLOCKS):
        block = slice(j * SUB_BLOCK * LANES, (j + 1) * SUB_BLOCK * LANES)
        x = work.x[block]
        if importance is None:
            squares(x, work.w)
        else:
            weigh_importance(x, work.importance[block], variance, work.w)
        store(work.scales, j * LANES, search_scale(x, work.w, work.brackets))
    d = -first_extreme(work.scales, SUB_BLOCKS) / F(-BOTTOM)
    inverse = inverse_unless_zero(d)
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        level = levels_from_zero(inverse * load(work.scales, j), I(BOTTOM))
        store(work.stored, j, to_floats(level))
        # With the unrounded d, as in the reference.
        store(work.inverses, j, inverse_unless_zero(d * to_floats(level + I(BOTTOM))))
    store(work.d, 0, d)
    return count


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 136]."""
    work = _new_work()
    for first in range(0, blocks.shape[0], LANES):
        for lane in range(_fit(blocks, importance, first, work)):
            values, block = blocks[first + lane], out[first + lane]
            store_half(block, 0, to_half(work.d[lane]))
            block[SCALES_H:QS] = 0
            for j in range(SUB_BLOCKS):
                place = j * LANES + lane
                level = int(work.stored[place])
                block[SCALES_L + j // 2] |= np.uint8((level & 15) << 4 * (j % 2))
                block[SCALES_H + j // 4] |= np.uint8(level >> 4 << 2 * (j % 4))
                encode_nearest(values, j * SUB_BLOCK, work.inverses[place], block, QS + j * SUB_BLOCK // 2)


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 136] into out, float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        for j in range(SUB_BLOCKS):
            low = block[SCALES_L + j // 2] >> 4 * (j % 2) & 15
            high = block[SCALES_H + j // 4] >> 2 * (j % 4) & 3
            scale = d * F(int(low | high << 4) + BOTTOM)
            decode_nearest(block, QS + j * SUB_BLOCK // 2, scale, values, j * SUB_BLOCK)


IQ4_XS = BlockType("IQ4_XS", pack, unpack)
