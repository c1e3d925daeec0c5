"""Q3_K: 3.4375 bits per weight; x = d * (scale - 32) * level, level -4..3 kept as 0..7.

A super-block of 256 weights, 16 sub-blocks of 16, 110 bytes:

    0    hmask   32 bytes: bit p of byte l is the high bit of element 32 p + l
    32   qs      64 bytes: byte 32 h + l holds the low 2 bits of elements 128 h + l + 32 p, p = 0..3
    96   scales  12 bytes: byte j (0..7) holds the low 4 bits of scale j and, in its high half, of scale j + 8;
                 byte 8 + j % 4 holds the high 2 bits of scale j at bit 2 (j / 4)
    108  d       float16

Without importance its levels are found one by one (one_by_one.py); with importance by the search that other types use
(search/symmetric.py), and so are the levels of its scales.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import (
    SUPER_BLOCK,
    Blocks,
    BlockType,
    Importance,
    Packed,
)
from quantize_cli.blocks.k.one_by_one import BOTTOM, STATE_SIZE, OneByOne, new_one_by_one, search_one_by_one
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
    symmetric_grid,
)
from quantize_cli.blocks.k.two_bits import load_two_bits, store_two_bits
from quantize_cli.blocks.search.symmetric import (
    GROUP_MAX_EPS,
    INVERSE,
    SCALE,
    first_extreme,
    levels_from_zero,
    search_symmetric,
    searched_levels,
)
from quantize_cli.blocks.search.weights import sum_of_squares, weigh_importance
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import Lanes, load_lanes, store_lane
from quantize_cli.simd.rounding import nearest_ints
from quantize_cli.simd.vector import (
    LANES,
    Ints,
    gather,
    lane_numbers,
    load,
    load_bytes,
    magnitude,
    select,
    splat_int,
    store,
    store_bytes,
    to_floats,
    to_ints,
)

F = np.float32
I = np.int32  # noqa: E741
BOTTOM_SCALE = -32
HMASK, QS, SCALES, D = 0, 32, 96, 108


@inner
def _round_scales(work: Work) -> None:
    """Round the scales to levels -32..31, all -32 where there is none, and find d: without importance."""
    largest = first_extreme(work.scales, SUB_BLOCKS)
    zero = largest == F(0)
    inverse = F(BOTTOM_SCALE) / largest
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        # An int8 as in the reference: a number out of its range wraps before it is clamped.
        level = nearest_ints(inverse * load(work.scales, j)) << I(24) >> I(24)
        level = levels_from_zero(to_floats(level), I(BOTTOM_SCALE)) + I(BOTTOM_SCALE)
        store(work.stored, j, select(zero, F(BOTTOM_SCALE), to_floats(level)))
    store(work.d, 0, select(zero, F(0), F(1) / inverse))


@inner
def _fit_scales(work: Work) -> None:
    """Fit levels -32..31 of the scales by the weights of their sub-blocks, and d: with importance."""
    zero = magnitude(first_extreme(work.scales, SUB_BLOCKS)) < GROUP_MAX_EPS
    search_symmetric(work.scales, work.sums, F(BOTTOM_SCALE), work.fit)
    inverse = load(work.fit, INVERSE)
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        # The level of an infinite scale is 0, too.
        level = levels_from_zero(inverse * load(work.scales, j), I(BOTTOM_SCALE)) + I(BOTTOM_SCALE)
        store(work.stored, j, select(zero, F(BOTTOM_SCALE), to_floats(level)))
    store(work.d, 0, load(work.fit, SCALE))


@inner
def _fit(blocks: Blocks, importance: Importance | None, first: int, work: Work, room: OneByOne) -> int:
    """Fit up to LANES super-blocks, from number `first` on: their stored scales and d; return how many.

    The levels that were found are left in room.states.
    """
    count: int = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    if importance is None:
        search_one_by_one(work.x, room, work.scales)
        _round_scales(work)
        return count
    load_lanes(importance, first, count, work.importance)
    variance = F(2) * sum_of_squares(work.x) / F(SUPER_BLOCK)
    for j in range(SUB_BLOCKS):
        sub_block = slice(j * SUB_BLOCK * LANES, (j + 1) * SUB_BLOCK * LANES)
        x = work.x[sub_block]
        store(work.sums, j * LANES, weigh_importance(x, work.importance[sub_block], variance, work.w))
        search_symmetric(x, work.w, F(BOTTOM), work.fit)
        store(work.scales, j * LANES, load(work.fit, SCALE))
        inverse = load(work.fit, INVERSE)
        for i in range(0, SUB_BLOCK * LANES, LANES):
            level = searched_levels(load(x, i), inverse, I(BOTTOM)) + I(BOTTOM)
            store(room.states, j * STATE_SIZE + i, to_floats(level))
    _fit_scales(work)
    return count


@inner
def _scale_level(stored: Lanes, j: int) -> Ints:
    """Read the levels of scale j in every lane, counted from 0."""
    return to_ints(load(stored, j * LANES)) - I(BOTTOM_SCALE)


@inner
def _pack_scales(stored: Lanes, packed: Packed) -> None:
    """Pack the levels -32..31 of the scales of LANES super-blocks into `packed`."""
    for j in range(8):
        both = _scale_level(stored, j) & I(15) | _scale_level(stored, j + 8) << I(4)
        store_bytes(packed, j * LANES, both)
    for j in range(4):
        high = splat_int(I(0))
        for quarter in range(4):
            high |= _scale_level(stored, j + 4 * quarter) >> I(4) << I(2 * quarter)
        store_bytes(packed, (8 + j) * LANES, high)


@inner
def _keep_searched(lane: int, d: np.float32, work: Work, states: Lanes) -> None:
    """Keep the levels that were found where a stored scale is 0."""
    i = lane_numbers()
    for pair in range(PAIRS):
        sub_block = I(2 * pair) + (i >> I(4))
        found = gather(states, sub_block * I(STATE_SIZE) + (i & I(SUB_BLOCK - 1)) * I(LANES) + I(lane))
        keep_where_zero(to_ints(found) - I(BOTTOM), pair, lane, d, work)


@inner
def _store_head(block: Packed, d: np.uint16, packed: Packed, lane: int) -> None:
    """Write d and what `_pack_scales` has left in a lane of `packed`."""
    store_half(block, D, d)
    store_lane(packed, lane, D - SCALES, block, SCALES)


@inner
def _store_levels(levels: Packed, block: Packed) -> None:
    """Write levels uint8[256], counted from 0."""
    high = splat_int(I(0))
    for pair in range(PAIRS):
        high |= load_bytes(levels, pair * LANES) >> I(2) << I(pair)
    store_bytes(block, HMASK, high)
    store_two_bits(levels, I(0), block, QS)


@inner
def _load_levels(block: Packed, pair: int) -> Ints:
    """Read the levels of a pair of sub-blocks, counted from 0."""
    high = load_bytes(block, HMASK) >> I(pair) & I(1)
    return load_two_bits(block, QS, pair // 4, pair % 4) | high << I(2)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 110]."""
    work = new_work()
    room = new_one_by_one()
    for first in range(0, blocks.shape[0], LANES):
        count = _fit(blocks, importance, first, work, room)
        _pack_scales(work.stored, work.packed)
        for lane in range(count):
            block = out[first + lane]
            _store_head(block, to_half(work.d[lane]), work.packed, lane)
            d = load_half(block, D)
            if encode_levels(blocks[first + lane], lane, d, I(BOTTOM), work):
                _keep_searched(lane, d, work, room.states)
            _store_levels(work.levels, block)


@inner
def _scale(block: Packed, j: int) -> np.float32:
    """Read scale j, less 32."""
    low = block[SCALES + j % 8] >> j // 8 * 4 & 15
    high = block[SCALES + 8 + j % 4] >> j // 4 * 2 & 3
    return F(int(low | high << 4) + BOTTOM_SCALE)


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 110] into out, float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, D)
        for pair in range(PAIRS):
            level = to_floats(_load_levels(block, pair) + I(BOTTOM))
            scale = halves(_scale(block, 2 * pair), _scale(block, 2 * pair + 1))
            store(values, pair * LANES, d * scale * level)


_LAYOUT = Layout(D, _scale, _load_levels, _pack_scales, _store_head, _store_levels)
Q3_K = BlockType("Q3_K", pack, unpack, grid=symmetric_grid(BOTTOM, BOTTOM_SCALE, _LAYOUT))
