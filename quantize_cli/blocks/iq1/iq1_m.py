"""IQ1_M: 1.75 bits per weight; x = d * (2 * scale + 1) * (level - 1 + shift), level 0..2, shift 1/8 or -1/8.

A super-block of 256 weights, 16 sub-blocks of 16 with a shift for each half, 56 bytes:

    0    qs     32 bytes: byte 2 j + h is the low 8 bits of the number of sub-block j's grid point h (grid.py)
    32   qh     16 bytes, one a sub-block: bits 0 to 2 and 4 to 6 are the high bits of its points, bits 3 and 7 tell
                whether their shifts are negative
    48   scales 4 uint16: bits 3 i to 3 i + 2 of number j are the scale of sub-block 4 j + i, the highest 4 bits are
                bits 4 j to 4 j + 3 of d, a float16
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from quantize_cli.blocks.base import SUPER_BLOCK, Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.iq1.grid import GROUP, Iq1Grid, iq1_grid
from quantize_cli.blocks.iq1.snap import add_sums, snap_to_grid, store_scales
from quantize_cli.blocks.iq1.splits import LOWEST, SECOND, SHIFTS, may_win, rank, sum_in_order
from quantize_cli.blocks.iq1.work import MINUS, PLUS, STEPS, Work, load_super_blocks, new_work
from quantize_cli.blocks.search.weights import weigh_importance
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.half import from_half, to_half
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    any_lane,
    lane_numbers,
    load,
    load_ints,
    mask_of,
    nowhere,
    select,
    splat,
    splat_int,
    store,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCK = 16
SUB_BLOCKS = SUPER_BLOCK // SUB_BLOCK
HALVES = 2
QH = 32
SCALES = 48
#: Sub-blocks whose magnitudes are below this count as zero (ggml-quants.c, GROUP_MAX_EPS_IQ1_M).
SMALLEST = F(1e-7)
#: d is larger than the scale that explains most, by this factor.
FUDGE = F(1.1125)
#: By how much the squares of the values change from level 1 to 0 and from level 2 to 1.
PLUS_FIRST = F(0.75)
PLUS_SECOND = F(-1.25)
MINUS_FIRST = F(1.25)
MINUS_SECOND = F(-0.75)
#: Elements of the sums of one half of a sub-block.
SUMS = (SUB_BLOCK + 1) * LANES

#: Sums of w * q * x and of w * q^2 over half a sub-block, with the values PLUS and with MINUS.
HalfSums: TypeAlias = tuple[Floats, Floats, Floats, Floats]


@inner
def _half_sums(sums_x: Lanes, sums_w: Lanes, first: int, second: int) -> HalfSums:
    """Compute the sums under a split from those in ascending order."""
    total_x = load(sums_x, SUB_BLOCK * LANES)
    total_w = load(sums_w, SUB_BLOCK * LANES)
    low_x = load(sums_x, first * LANES) + load(sums_x, second * LANES)
    first_w = load(sums_w, first * LANES)
    second_w = load(sums_w, second * LANES)
    return (
        total_x * PLUS[2] - low_x,
        total_w * PLUS[2] * PLUS[2] + first_w * PLUS_FIRST + second_w * PLUS_SECOND,
        total_x * MINUS[2] - low_x,
        total_w * MINUS[2] * MINUS[2] + first_w * MINUS_FIRST + second_w * MINUS_SECOND,
    )


@inner
def _both(first: HalfSums, second: HalfSums, shifts: int) -> tuple[Floats, Floats]:
    """Add the sums of both halves with these shifts."""
    first_qx, first_q2 = first[2:] if shifts & 2 else first[:2]
    second_qx, second_q2 = second[2:] if shifts & 1 else second[:2]
    return first_qx + second_qx, first_q2 + second_q2


@inner
def _split(sums_x: Lanes, sums_w: Lanes) -> tuple[Floats, Ints]:
    """Find the split that explains most, and its scale: of equal ones the first.

    The sums of the second half are SUMS elements behind those of the first.
    """
    best = splat(LOWEST)
    scale = splat(F(0))
    split = splat_int(I(-1))
    for first in range(SUB_BLOCK + 1):
        for second in range(first, SUB_BLOCK + 1):
            sums = _half_sums(sums_x[:SUMS], sums_w[:SUMS], first, second)
            others = _half_sums(sums_x[SUMS:], sums_w[SUMS:], first, second)
            improved = nowhere()
            for shifts in range(4):
                sum_qx, sum_q2 = _both(sums, others, shifts)
                improved = improved | may_win(sum_qx, sum_q2, best)
            if any_lane(improved):
                for shifts in range(4):
                    sum_qx, sum_q2 = _both(sums, others, shifts)
                    wins = may_win(sum_qx, sum_q2, best) & (sum_q2 > F(0))
                    scale = select(wins, sum_qx / sum_q2, scale)
                    best = select(wins, scale * sum_qx, best)
                    split = select(wins, I(first | second << SECOND | shifts << SHIFTS), split)
    return scale, split


@inner
def _weigh(j: int, importance: Importance | None, variance: Floats, work: Work) -> None:
    """Compute the weights of the errors of sub-block j; without importance they are its squares."""
    first, stop = j * SUB_BLOCK * LANES, (j + 1) * SUB_BLOCK * LANES
    x = work.x[first:stop]
    if importance is not None:
        weigh_importance(x, work.importance[first:stop], variance, work.w)
    else:
        for i in range(0, x.size, LANES):
            value = load(x, i)
            store(work.w, i, value * value)


@inner
def _best_d(importance: Importance | None, variance: Floats, work: Work, grid: Iq1Grid) -> Floats:
    """Store the scales, and find the d that explains most with them."""
    largest = store_scales(work, SUB_BLOCKS)
    sums = splat(F(0)), splat(F(0))
    for j in range(SUB_BLOCKS):
        _weigh(j, importance, variance, work)
        x = work.x[j * SUB_BLOCK * LANES : (j + 1) * SUB_BLOCK * LANES]
        points = work.points[j * HALVES * LANES : (j + 1) * HALVES * LANES]
        factor = to_floats(load_ints(work.stored_scales, j * LANES) * I(2) + I(1))
        sums = add_sums(x, work.w, load_ints(work.shifts, j * LANES), points, factor, sums, grid)
    sum_qx, sum_q2 = sums
    d: Floats = select((largest != F(0)) & (sum_q2 > F(0)), sum_qx / sum_q2, largest / STEPS)
    return d


@inner
def _encode(work: Work, lane: int, block: Packed) -> None:
    """Write the super-block in `lane`."""
    for j in range(SUB_BLOCKS):
        low = work.points[j * HALVES * LANES + lane]
        high = work.points[(j * HALVES + 1) * LANES + lane]
        shifts = work.shifts[j * LANES + lane]
        block[HALVES * j] = np.uint8(low & 255)
        block[HALVES * j + 1] = np.uint8(high & 255)
        block[QH + j] = np.uint8(low >> 8 | shifts >> 1 << 3 | high >> 8 << 4 | (shifts & 1) << 7)
    d = int(to_half(work.head[lane]))
    for j in range(4):
        bits = (d >> 4 * j & 15) << 12
        for i in range(4):
            bits |= work.stored_scales[(4 * j + i) * LANES + lane] << 3 * i
        block[SCALES + 2 * j] = np.uint8(bits & 255)
        block[SCALES + 2 * j + 1] = np.uint8(bits >> 8)


@kernel
def _pack(blocks: Blocks, importance: Importance | None, out: Packed, work: Work, grid: Iq1Grid) -> None:
    for start in range(0, blocks.shape[0], LANES):
        count = min(LANES, blocks.shape[0] - start)
        variance = load_super_blocks(blocks, importance, start, count, work)
        for j in range(SUB_BLOCKS):
            x = work.x[j * SUB_BLOCK * LANES : (j + 1) * SUB_BLOCK * LANES]
            _weigh(j, importance, variance, work)
            rank(x, work.ranks)
            sum_in_order(x, work.w, work.ranks, HALVES, work.sums_x, work.sums_w)
            scale, split = _split(work.sums_x, work.sums_w)
            snap_to_grid(j, x, scale, split, SMALLEST, work, grid)
        store(work.head, 0, _best_d(importance, variance, work, grid) * FUDGE)
        for lane in range(count):
            _encode(work, lane, out[start + lane])


def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 56].

    Raises:
        OverflowError: the weighted errors of a block are beyond the range of float32.
    """
    _pack(blocks, importance, out, new_work(), iq1_grid())


@kernel
def _unpack(packed: Packed, out: Blocks, grid: Iq1Grid) -> None:
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        half = 0
        for j in range(4):
            half |= int(block[SCALES + 2 * j + 1] >> 4) << 4 * j
        d = from_half(np.uint16(half))
        for pair in range(SUB_BLOCKS // 2):
            at = SCALES + 2 * (pair // 2)
            scales = (int(block[at]) | int(block[at + 1]) << 8) >> pair % 2 * 6
            ones, twos, negative = I(0), I(0), I(0)
            for k in range(4):
                high = int(block[QH + 2 * pair + k // 2]) >> k % 2 * 4
                code = grid.codes[int(block[4 * pair + k]) | (high & 7) << 8]
                ones |= (code & I(255)) << I(GROUP * k)
                twos |= code >> I(GROUP) << I(GROUP * k)
                negative |= I((high >> 3 & 1) * 255) << I(GROUP * k)
            one, two, minus = mask_of(I(ones)), mask_of(I(twos)), mask_of(I(negative))
            low = select(minus, splat(MINUS[0]), PLUS[0])
            q = low + select(two, F(2), select(one, splat(F(1)), F(0)))
            first, second = d * F(2 * (scales & 7) + 1), d * F(2 * (scales >> 3 & 7) + 1)
            scale = select(lane_numbers() < I(SUB_BLOCK), splat(first), second)
            store(values, pair * 2 * SUB_BLOCK, scale * q)


def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 56] into out, float32[n, 256]."""
    _unpack(packed, out, iq1_grid())


IQ1_M = BlockType("IQ1_M", pack, unpack)
