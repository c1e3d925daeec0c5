"""Q3_K: 3.4375 bits per weight; x = d * (scale - 32) * level, level -4..3 kept as 0..7.

A super-block of 256 weights, 16 sub-blocks of 16, 110 bytes:

    0    hmask   32 bytes: bit p of byte l is the high bit of element 32 p + l
    32   qs      64 bytes: byte 32 h + l holds the low 2 bits of elements 128 h + l + 32 p, p = 0..3
    96   scales  12 bytes: byte j (0..7) holds the low 4 bits of scale j and, in its high half, of scale j + 8;
                 byte 8 + j % 4 holds the high 2 bits of scale j at bit 2 (j / 4)
    108  d       float16

Without importance the search is ggml-quants.c, `make_q3_quants`: from the levels of the plain scale, change one level
at a time while that lets the least-squares scale explain more, in at most five rounds. With importance it is the search
that the other formats use, and another one over the scales.
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, nearest_ints, store_half, to_half
from quantize_cli.formats._k_signed import (
    PAIRS,
    SUB_BLOCK,
    SUB_BLOCKS,
    SUPER_BLOCK,
    Work,
    halves,
    new_work,
    of_pair,
    two_bits,
)
from quantize_cli.formats._k_weights import sum_of_squares, weigh_importance
from quantize_cli.formats._lanes import Lanes, load_lanes
from quantize_cli.formats._symmetric import (
    GROUP_MAX_EPS,
    INVERSE,
    SCALE,
    first_extreme,
    levels_from_zero,
    search_symmetric,
    searched_levels,
)
from quantize_cli.formats._vector import (
    LANES,
    Floats,
    any_lane,
    gather,
    lane_numbers,
    load,
    load_bytes,
    magnitude,
    nowhere,
    select,
    splat,
    splat_int,
    store,
    store_bytes,
    to_floats,
    to_ints,
)
from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed, UseOfImportance

F = np.float32
I = np.int32  # noqa: E741
BLOCK_BYTES = 110
BOTTOM, BOTTOM_SCALE = -4, -32
ROUNDS = 5
HMASK, QS, SCALES, D = 0, 32, 96, 108


@kernel
def _level(value: Floats) -> Floats:
    return to_floats(levels_from_zero(value, I(BOTTOM)) + I(BOTTOM))


@kernel
def _refine(x: Lanes, levels: Lanes) -> Floats:
    """Find every lane's levels -4..3 of a sub-block x; returns the scales. Both are flat float32[16 * LANES]."""
    extreme = first_extreme(x, SUB_BLOCK)
    zero = magnitude(extreme) < GROUP_MAX_EPS
    inverse = F(BOTTOM) / extreme
    sum_lx = splat(F(0))
    sum_l2 = splat(F(0))
    for i in range(0, SUB_BLOCK * LANES, LANES):
        value = load(x, i)
        level = _level(inverse * value)
        weight = value * value
        sum_lx += weight * value * level
        sum_l2 += weight * level * level
        store(levels, i, level)
    for _ in range(ROUNDS):
        changed = nowhere()
        for i in range(0, SUB_BLOCK * LANES, LANES):
            value = load(x, i)
            level = load(levels, i)
            weight = value * value
            rest_lx = sum_lx - weight * value * level
            rest_l2 = sum_l2 - weight * level * level
            other = _level(value * rest_l2 / rest_lx)
            new_lx = rest_lx + weight * value * other
            new_l2 = rest_l2 + weight * other * other
            better = (rest_lx > F(0)) & (other != level) & (new_l2 > F(0))
            better = better & (new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2)
            store(levels, i, select(better, other, level))
            sum_lx = select(better, new_lx, sum_lx)
            sum_l2 = select(better, new_l2, sum_l2)
            changed = changed | better
        if not any_lane(changed):
            break
    for i in range(0, SUB_BLOCK * LANES, LANES):
        store(levels, i, select(zero, F(BOTTOM), load(levels, i)))
    scale = select(sum_l2 > F(0), sum_lx / sum_l2, F(0))
    return select(zero, F(0), scale)


@kernel
def _fit(blocks: Blocks, importance: Importance | None, first: int, work: Work, levels: Lanes) -> int:
    """Fit up to LANES super-blocks, from number `first` on: their stored scales and d; returns how many.

    `levels` receives the levels -4..3 of the sub-blocks' searches, float32[256 * LANES].
    """
    count = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    variance = splat(F(0))
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
        variance = F(2) * sum_of_squares(work.x) / F(SUPER_BLOCK)
    for j in range(SUB_BLOCKS):
        sub_block = slice(j * SUB_BLOCK * LANES, (j + 1) * SUB_BLOCK * LANES)
        x, found = work.x[sub_block], levels[sub_block]
        if importance is None:
            scale = _refine(x, found)
        else:
            store(work.sums, j * LANES, weigh_importance(x, work.importance[sub_block], variance, work.w))
            search_symmetric(x, work.w, SUB_BLOCK, F(BOTTOM), work.fit)
            scale = load(work.fit, SCALE)
            inverse = load(work.fit, INVERSE)
            for i in range(0, SUB_BLOCK * LANES, LANES):
                level = searched_levels(load(x, i), inverse, I(BOTTOM)) + I(BOTTOM)
                store(found, i, to_floats(level))
        store(work.scales, j * LANES, scale)
    if importance is None:
        _round_scales(work)
    else:
        search_symmetric(work.scales, work.sums, SUB_BLOCKS, F(BOTTOM_SCALE), work.fit)
        store(work.d, 0, load(work.fit, SCALE))
        for j in range(0, SUB_BLOCKS * LANES, LANES):
            level = searched_levels(load(work.scales, j), load(work.fit, INVERSE), I(BOTTOM_SCALE))
            store(work.stored, j, to_floats(level))
    return count


@kernel
def _round_scales(work: Work) -> None:
    """Without importance: levels 0..63 of the scales, all 0 where there is none, and d."""
    largest = first_extreme(work.scales, SUB_BLOCKS)
    zero = largest == F(0)
    inverse = F(BOTTOM_SCALE) / largest
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        # int8 as in the reference: a number out of its range wraps before it is clamped
        level = nearest_ints(inverse * load(work.scales, j)) << I(24) >> I(24)
        level = levels_from_zero(to_floats(level), I(BOTTOM_SCALE))
        store(work.stored, j, select(zero, F(0), to_floats(level)))
    store(work.d, 0, select(zero, F(0), F(1) / inverse))


@kernel
def _encode_scales(work: Work, lane: int, block: Packed) -> None:
    """Write d and the packed scales of the super-block in `lane`."""
    store_half(block, D, to_half(work.d[lane]))
    block[SCALES:D] = 0
    for j in range(SUB_BLOCKS):
        level = int(work.stored[j * LANES + lane])
        block[SCALES + j % 8] |= np.uint8((level & 15) << j // 8 * 4)
        block[SCALES + 8 + j % 4] |= np.uint8(level >> 4 << j // 4 * 2)


@kernel
def _encode_levels(values: Lanes, lane: int, d: np.float32, work: Work, searched: Lanes) -> None:
    """Levels 0..7 of one super-block under its stored scales; where such a scale is 0, those of the search."""
    for pair in range(PAIRS):
        scale = d * (of_pair(work.stored, pair, lane) + F(BOTTOM_SCALE))
        level = levels_from_zero(load(values, pair * LANES) / scale, I(BOTTOM))
        zero = scale == F(0)
        if any_lane(zero):
            found = gather(searched, (lane_numbers() + I(pair * LANES)) * I(LANES) + I(lane))
            level = select(zero, to_ints(found) - I(BOTTOM), level)
        store_bytes(work.levels, pair * LANES, level)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 110]."""
    work = new_work()
    searched = np.empty(SUPER_BLOCK * LANES, np.float32)
    for first in range(0, blocks.shape[0], LANES):
        for lane in range(_fit(blocks, importance, first, work, searched)):
            block = out[first + lane]
            _encode_scales(work, lane, block)
            _encode_levels(blocks[first + lane], lane, load_half(block, D), work, searched)
            high = splat_int(I(0))
            for pair in range(PAIRS):
                high |= load_bytes(work.levels, pair * LANES) >> I(2) << I(pair)
            store_bytes(block, HMASK, high)
            for half in range(2):
                store_bytes(block, QS + 32 * half, two_bits(work.levels, half, I(0)))


@kernel
def _scale(block: Packed, j: int) -> np.float32:
    """Scale j, less 32."""
    low = block[SCALES + j % 8] >> j // 8 * 4 & 15
    high = block[SCALES + 8 + j % 4] >> j // 4 * 2 & 3
    return F(int(low | high << 4) + BOTTOM_SCALE)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 110] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, D)
        for pair in range(PAIRS):
            low = load_bytes(block, QS + pair // 4 * 32) >> I(pair % 4 * 2) & I(3)
            high = load_bytes(block, HMASK) >> I(pair) & I(1)
            level = to_floats((low | high << I(2)) + I(BOTTOM))
            scale = halves(_scale(block, 2 * pair), _scale(block, 2 * pair + 1))
            store(values, pair * LANES, d * scale * level)


Q3_K = BlockFormat(GGMLQuantizationType.Q3_K, SUPER_BLOCK, BLOCK_BYTES, pack, unpack, UseOfImportance.OPTIONAL)
