"""What IQ1_S and IQ1_M share: blocks whose sorted weights are split in three, and levels from the grid.

Method: ggml-quants.c, `quantize_row_iq1_s_impl` and `quantize_row_iq1_m_impl`. A block's weights in ascending order are
split in three, which get the levels 0, 1 and 2; a level stands for scale * (level - 1 + shift) with a shift of 1/8 or
-1/8, and of all splits and shifts the one is taken that explains most. Then groups of eight levels that are not in the
grid are replaced by the neighbour with the smallest weighted error, and the scale is fitted again.

Both halves of a block have a shift: bit 1 of its `shifts` tells whether that of the first is negative, bit 0 of the
second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import Blocks, Importance
from quantize_cli.blocks.grids.levels import odd_levels
from quantize_cli.blocks.iq1.grid import GROUP, Iq1Grid
from quantize_cli.blocks.search.weights import sum_of_squares
from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes, load_lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    Mask,
    any_lane,
    first_lane,
    gather_ints,
    load,
    load_ints,
    magnitude,
    mask_of,
    nowhere,
    select,
    smallest,
    splat,
    splat_int,
    store,
    store_ints,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741
SUPER_BLOCK = 256
#: Weights in a block of IQ1_S and of IQ1_M.
MOST = 32
LEAST = 16
LEVELS = 3
#: The largest stored scale, and how many times d it stands for.
TOP_SCALE = 7
STEPS = F(2 * TOP_SCALE + 1)
LOWEST = F(np.finfo(np.float32).min)
LARGEST = F(np.finfo(np.float32).max)
#: The values of the levels with either shift.
PLUS = (F(-0.875), F(0.125), F(1.125))
MINUS = (F(-1.125), F(-0.125), F(0.875))

#: A split as one number: the rank of the first weight with level 1, that of the first with level 2 times 2^6, and the
#: shifts times 2^12; -1 if none was found.
SECOND = 6
SHIFTS = 12

OVERFLOW = "the weighted errors of a block are beyond the range of float32"

#: A flat int32 buffer of vectors.
IntLanes = NDArray[np.int32]


class Work(NamedTuple):
    """Room for LANES super-blocks; flat buffers of vectors."""

    x: Lanes  #: 256 vectors
    importance: Lanes  #: 256 vectors
    w: Lanes  #: weights of a block's errors
    ranks: IntLanes  #: places of a block's weights in ascending order
    sums_x: Lanes  #: sums of w * x over the first weights in that order, see `sum_in_order`
    sums_w: Lanes  #: sums of w
    errors: Lanes  #: weighted error of each weight of a block at each level
    points: IntLanes  #: 32 vectors: the grid points of the super-blocks
    scales: Lanes  #: of the blocks
    shifts: IntLanes  #: of the blocks
    stored_scales: IntLanes  #: of the blocks, 0..7
    head: Lanes  #: 1 vector: d before it is rounded to float16


def new_work() -> Work:
    """Allocate it: by NumPy, for compiling that takes longer than all of `rank`."""

    def floats(vectors: int) -> Lanes:
        return np.zeros(vectors * LANES, np.float32)

    def ints(vectors: int) -> IntLanes:
        return np.zeros(vectors * LANES, np.int32)

    return Work(
        x=floats(SUPER_BLOCK),
        importance=floats(SUPER_BLOCK),
        w=floats(MOST),
        ranks=ints(MOST),
        sums_x=floats(MOST + 2),
        sums_w=floats(MOST + 2),
        errors=floats(LEVELS * MOST),
        points=ints(SUPER_BLOCK // GROUP),
        scales=floats(SUPER_BLOCK // LEAST),
        shifts=ints(SUPER_BLOCK // LEAST),
        stored_scales=ints(SUPER_BLOCK // LEAST),
        head=floats(1),
    )


@inner
def load_super_blocks(blocks: Blocks, importance: Importance | None, first: int, count: int, work: Work) -> Floats:
    """Put super-blocks from number `first` on into lanes; returns twice the mean of their squares."""
    load_lanes(blocks, first, count, work.x)
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
    return F(2) * sum_of_squares(work.x) / F(SUPER_BLOCK)


@inner
def rank(x: Lanes, ranks: IntLanes) -> None:
    """The place of every value in its lane's ascending order; equal ones keep theirs, as in glibc's qsort."""
    for i in range(0, x.size, LANES):
        value = load(x, i)
        place = splat_int(I(0))
        for j in range(0, i, LANES):
            before = load(x, j) <= value
            other = load_ints(ranks, j)
            store_ints(ranks, j, select(before, other, other + I(1)))
            place = select(before, place + I(1), place)
        store_ints(ranks, i, place)


@inner
def sum_in_order(x: Lanes, w: Lanes, ranks: IntLanes, parts: int, sums_x: Lanes, sums_w: Lanes) -> None:
    """Sums of w * x and of w over the first n of a block's elements in ascending order, n = 0..size.

    Args:
        x: the values, flat float32[size * LANES].
        w: their weights, same layout.
        ranks: their places.
        parts: 1, or 2 for each half of the block by itself: an element of the other half adds nothing.
        sums_x: receives the parts' sums, one part after another, flat float32[parts * (size + 1) * LANES].
        sums_w: the same.
    """
    size = x.size // parts
    for part in range(parts):
        offset = part * (x.size + LANES)
        for i in range(offset, offset + x.size + LANES, LANES):
            store(sums_x, i, splat(F(0)))
            store(sums_w, i, splat(F(0)))
        for i in range(part * size, (part + 1) * size, LANES):
            for lane in range(LANES):
                place = offset + (ranks[i + lane] + 1) * LANES + lane
                sums_x[place] = w[i + lane] * x[i + lane]
                sums_w[place] = w[i + lane]
        sum_x = splat(F(0))
        sum_w = splat(F(0))
        for i in range(offset, offset + x.size + LANES, LANES):
            sum_x += load(sums_x, i)
            sum_w += load(sums_w, i)
            store(sums_x, i, sum_x)
            store(sums_w, i, sum_w)


@inner
def may_win(sum_qx: Floats, sum_q2: Floats, best: Floats) -> Mask:
    """Where a split explains more than `best`, if sum_q2 is positive, as it nearly always is."""
    return sum_qx * sum_qx > best * sum_q2


@inner
def base_values(shifts: Ints, half: int) -> Floats:
    """Value of level 0 in the first or the second half of a block."""
    negative = shifts & I(2 >> half) != I(0)
    base: Floats = select(negative, splat(MINUS[0]), PLUS[0])
    return base


@inner
def _look_up(
    x: Lanes, scale: Floats, split: Ints, flipped: Mask, shifts: Ints, work: Work, points: IntLanes, grid: Iq1Grid
) -> Mask:
    """Look up the patterns that a split gives, and compute the errors of every level; tells who left the grid.

    Points are as in grid.numbers.
    """
    second = split >> I(SECOND) & I(63)
    first = split & I(63)
    outside = nowhere()
    for group in range(0, points.size, LANES):
        base = base_values(shifts, 2 * group // points.size)
        pattern = splat_int(I(0))
        digit = I(1)
        for i in range(GROUP * group, GROUP * (group + LANES), LANES):
            place = load_ints(work.ranks, i)
            level = select(place < first, I(0), select(place < second, splat_int(I(1)), I(2)))
            pattern += select(flipped, I(2) - level, level) * digit
            digit = I(digit * LEVELS)
            value = load(x, i)
            weight = load(work.w, i)
            for j in range(LEVELS):
                difference = scale * (base + F(j)) - value
                store(work.errors, LEVELS * i + j * LANES, weight * difference * difference)
        number = select(split >= I(0), gather_ints(grid.numbers, pattern), I(0))
        outside = outside | (number < I(0))
        store_ints(points, group, number)
    return outside


@inner
def _best_neighbour(errors: Lanes, at: int, number: int, grid: Iq1Grid) -> int:
    """The first of the neighbours in list `number` with the smallest error; -1 if all errors overflow.

    Level j of element i has the error at [at + (LEVELS * i + j) * LANES].
    """
    best = LARGEST
    place = -1
    for vector in range(grid.starts[number], grid.starts[number + 1]):
        error = splat(F(0))
        for i in range(GROUP):
            low = at + LEVELS * i * LANES
            word = 2 * (vector * GROUP + i)
            term = select(mask_of(grid.planes[word]), splat(errors[low + LANES]), errors[low])
            error += select(mask_of(grid.planes[word + 1]), errors[low + 2 * LANES], term)
        least = smallest(select(error < LARGEST, error, LARGEST))
        if least < best:
            best = least
            place = vector * LANES + first_lane(error == least)
    return grid.neighbours[place] if place >= 0 else -1


@inner
def add_sums(
    x: Lanes, w: Lanes, shifts: Ints, points: IntLanes, factor: Floats, sums: tuple[Floats, Floats], grid: Iq1Grid
) -> tuple[Floats, Floats]:
    """Add w * q * x and w * q^2 of a block to the sums: q is `factor` times the values of its grid points' levels."""
    sum_qx, sum_q2 = sums
    for group in range(0, points.size, LANES):
        base = base_values(shifts, 2 * group // points.size)
        codes = gather_ints(grid.codes, load_ints(points, group))
        for j in range(GROUP):
            i = GROUP * group + j * LANES
            level = (codes >> I(j) & I(1)) | (codes >> I(GROUP - 1 + j) & I(2))
            q = (base + to_floats(level)) * factor
            weighted = load(w, i) * q
            sum_qx += weighted * load(x, i)
            sum_q2 += weighted * q
    return sum_qx, sum_q2


@inner
def snap_to_grid(
    b: int, x: Lanes, scale: Floats, split: Ints, threshold: np.float32, work: Work, grid: Iq1Grid
) -> None:
    """Choose the grid points, the scale and the shifts of the blocks number b, whose split was found.

    Args:
        b: number of the blocks in their super-blocks.
        x: their values, flat float32[size * LANES]; weights and ranks are in `work`.
        scale: the splits' scales, of either sign.
        split: the splits.
        threshold: a block whose magnitudes are below it counts as zero.
        work: receives points, scales and shifts; all are 0 for blocks without a split or below the threshold.
        grid: the tables.

    Raises:
        OverflowError: sums overflow, so that there is no scale, or no neighbour. The reference aborts there, or reads
            beyond the row in search of another grid point (ggml-quants.c, `iq1_find_best_neighbour2`).
    """
    largest = splat(F(0))
    for i in range(0, x.size, LANES):
        value = magnitude(load(x, i))
        largest = select(value > largest, value, largest)
    split = select(largest < threshold, I(-1), split)
    scale = select(split < I(0), F(0), scale)
    flipped = scale < F(0)
    scale = select(flipped, -scale, scale)
    shifts = select(split < I(0), I(0), split >> I(SHIFTS))
    shifts = select(flipped, I(3) - shifts, shifts)
    points = work.points[b * x.size // GROUP : (b + 1) * x.size // GROUP]
    outside = _look_up(x, scale, split, flipped, shifts, work, points, grid)
    if any_lane(outside):
        for place in range(points.size):
            if points[place] < 0:
                lane = place % LANES
                at = LEVELS * GROUP * (place - lane) + lane
                points[place] = _best_neighbour(work.errors, at, -1 - points[place], grid)
                if points[place] < 0:
                    raise OverflowError(OVERFLOW)
        sum_qx, sum_q2 = add_sums(x, work.w, shifts, points, splat(F(1)), (splat(F(0)), splat(F(0))), grid)
        scale = select(outside & (sum_qx > F(0)) & (sum_q2 > F(0)), sum_qx / sum_q2, scale)
    if any_lane(scale != scale):
        raise OverflowError(OVERFLOW)
    store(work.scales, b * LANES, scale)
    store_ints(work.shifts, b * LANES, shifts)


@inner
def store_scales(work: Work, blocks: int) -> Floats:
    """Round the scales of so many blocks to 0..7, for 1, 3 .. 15 times d; returns 15 d, the largest of them."""
    largest = splat(F(0))
    for b in range(0, blocks * LANES, LANES):
        scale = load(work.scales, b)
        largest = select(largest > scale, largest, scale)
    inverse = F(1) / (largest / STEPS)
    for b in range(0, blocks * LANES, LANES):
        level = odd_levels(inverse * load(work.scales, b), I(TOP_SCALE))
        # Where all scales are zero, the reference stores neither scales nor shifts.
        store_ints(work.stored_scales, b, select(largest == F(0), I(0), level))
        store_ints(work.shifts, b, select(largest == F(0), I(0), load_ints(work.shifts, b)))
    return largest
