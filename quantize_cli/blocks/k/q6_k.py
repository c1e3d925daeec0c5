"""Q6_K: 6.5625 bits per weight; x = d * scale * level, level -32..31 kept as 0..63.

A super-block of 256 weights, 16 sub-blocks of 16, 210 bytes; per half of 128 weights (h = 0, 1; l = 0..31):

    0    ql     128 bytes: byte 64 h + l holds the low 4 bits of elements 128 h + l and + 64;
                byte 64 h + 32 + l those of elements 128 h + 32 + l and + 64
    128  qh     64 bytes: byte 32 h + l holds the high 2 bits of elements 128 h + l + 32 p, p = 0..3
    192  scales 16 int8
    208  d      float16
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.k.symmetric import (
    PAIRS,
    SUB_BLOCK,
    SUB_BLOCKS,
    Layout,
    Work,
    encode_levels,
    halves,
    keep_where_zero,
    new_work,
    of_pair,
    symmetric_grid,
)
from quantize_cli.blocks.k.two_bits import load_two_bits, store_two_bits
from quantize_cli.blocks.search.symmetric import (
    GROUP_MAX_EPS,
    INVERSE,
    SCALE,
    first_extreme,
    search_symmetric,
    searched_levels,
)
from quantize_cli.blocks.search.weights import squares
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import Lanes, load_lanes, new_lanes, store_lane
from quantize_cli.simd.rounding import nearest_ints
from quantize_cli.simd.vector import (
    LANES,
    Ints,
    load,
    load_bytes,
    magnitude,
    select,
    store,
    store_bytes,
    to_floats,
    to_ints,
)

F = np.float32
I = np.int32  # noqa: E741
BOTTOM = -32
BOTTOM_SCALE = -128
QH, SCALES, D = 128, 192, 208


@inner
def _fit(blocks: Blocks, importance: Importance | None, first: int, work: Work, inverses: Lanes) -> int:
    """Fit up to LANES super-blocks, from number `first` on: their stored scales and d; return how many.

    `inverses` receives what gave the levels of the sub-blocks' searches, float32[16 * LANES].
    """
    count: int = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
    for j in range(SUB_BLOCKS):
        sub_block = slice(j * SUB_BLOCK * LANES, (j + 1) * SUB_BLOCK * LANES)
        x = work.x[sub_block]
        if importance is None:
            squares(x, work.w)
            search_symmetric(x, work.w, F(BOTTOM), work.fit)
        else:
            search_symmetric(x, work.importance[sub_block], F(BOTTOM), work.fit)
        store(work.scales, j * LANES, load(work.fit, SCALE))
        store(inverses, j * LANES, load(work.fit, INVERSE))
    largest = first_extreme(work.scales, SUB_BLOCKS)
    inverse = F(BOTTOM_SCALE) / largest
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        level = nearest_ints(inverse * load(work.scales, j))
        level = select(level < I(~BOTTOM_SCALE), level, I(~BOTTOM_SCALE))
        store(work.stored, j, to_floats(level))
    store(work.d, 0, select(magnitude(largest) < GROUP_MAX_EPS, F(0), F(1) / inverse))
    return count


@inner
def _keep_searched(values: Lanes, lane: int, d: np.float32, work: Work, inverses: Lanes) -> None:
    """Keep the levels of the search where a stored scale is 0."""
    for pair in range(PAIRS):
        found = searched_levels(load(values, pair * LANES), of_pair(inverses, pair, lane), I(BOTTOM))
        keep_where_zero(found, pair, lane, d, work)


@inner
def _pack_scales(stored: Lanes, packed: Packed) -> None:
    """Put the levels of the scales of LANES super-blocks into `packed`."""
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        store_bytes(packed, j, to_ints(load(stored, j)))


@inner
def _store_head(block: Packed, d: np.uint16, packed: Packed, lane: int) -> None:
    """Write d and what `_pack_scales` has left in a lane of `packed`."""
    store_half(block, D, d)
    store_lane(packed, lane, SUB_BLOCKS, block, SCALES)


@inner
def _store_levels(levels: Packed, block: Packed) -> None:
    """Write levels uint8[256], counted from 0."""
    for half in range(2):
        for quarter in range(2):
            low = load_bytes(levels, 128 * half + 32 * quarter) & I(15)
            high = load_bytes(levels, 128 * half + 32 * quarter + 64) & I(15)
            store_bytes(block, 64 * half + 32 * quarter, low | high << I(4))
    store_two_bits(levels, I(4), block, QH)


@inner
def _load_levels(block: Packed, pair: int) -> Ints:
    """Read the levels of a pair of sub-blocks, counted from 0."""
    half, quarter = pair // 4, pair % 4
    low = load_bytes(block, 64 * half + quarter % 2 * 32) >> I(quarter // 2 * 4) & I(15)
    return low | load_two_bits(block, QH, half, quarter) << I(4)


@inner
def _scale(block: Packed, j: int) -> np.float32:
    return F(np.int8(block[SCALES + j]))


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 210]."""
    work = new_work()
    inverses = new_lanes(SUB_BLOCKS)
    for first in range(0, blocks.shape[0], LANES):
        count = _fit(blocks, importance, first, work, inverses)
        _pack_scales(work.stored, work.packed)
        for lane in range(count):
            block = out[first + lane]
            if work.d[lane] == F(0):  # all scales count as zero
                block[:] = 0
                continue
            _store_head(block, to_half(work.d[lane]), work.packed, lane)
            d = load_half(block, D)
            if encode_levels(blocks[first + lane], lane, d, I(BOTTOM), work):
                _keep_searched(blocks[first + lane], lane, d, work, inverses)
            _store_levels(work.levels, block)


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 210] into out, float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, D)
        for pair in range(PAIRS):
            # With `_load_levels` and `_scale`, which do the same, this takes 6 % longer.
            half, quarter = pair // 4, pair % 4
            low = load_bytes(block, 64 * half + quarter % 2 * 32) >> I(quarter // 2 * 4) & I(15)
            high = load_bytes(block, QH + 32 * half) >> I(quarter * 2) & I(3)
            level = to_floats((low | high << I(4)) + I(BOTTOM))
            first = d * F(np.int8(block[SCALES + 2 * pair]))
            second = d * F(np.int8(block[SCALES + 2 * pair + 1]))
            store(values, pair * LANES, halves(first, second) * level)


_LAYOUT = Layout(D, _scale, _load_levels, _pack_scales, _store_head, _store_levels)
Q6_K = BlockType("Q6_K", pack, unpack, grid=symmetric_grid(BOTTOM, BOTTOM_SCALE, _LAYOUT))
