"""Levels of IQ1_S and IQ1_M from the grid, under a split that was found, and the scales.

Method: ggml-quants.c, `quantize_row_iq1_s_impl` and `quantize_row_iq1_m_impl`. Groups of eight levels that are not in
the grid are replaced by the neighbour with the smallest weighted error, and the scale is fitted again.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.grids.levels import odd_levels
from quantize_cli.blocks.iq1.grid import GROUP, Iq1Grid
from quantize_cli.blocks.iq1.splits import SECOND, SHIFTS
from quantize_cli.blocks.iq1.work import LEVELS, MINUS, PLUS, STEPS, TOP_SCALE, IntLanes, Work
from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes
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
_LARGEST = F(np.finfo(np.float32).max)
_OVERFLOW = "the weighted errors of a block are beyond the range of float32"


@inner
def base_values(shifts: Ints, half: int) -> Floats:
    """Give the value of level 0 in the first or the second half of sub-blocks with these shifts."""
    negative = shifts & I(2 >> half) != I(0)
    base: Floats = select(negative, splat(MINUS[0]), PLUS[0])
    return base


@inner
def _look_up(
    x: Lanes, scale: Floats, split: Ints, flipped: Mask, shifts: Ints, work: Work, points: IntLanes, grid: Iq1Grid
) -> Mask:
    """Look up the patterns that a split gives, and compute the errors of every level; tell which lanes left the grid.

    The points are as in grid.numbers.
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
    """Find the first of the neighbours in list `number` with the smallest error; -1 if all errors overflow.

    Level j of element i has the error at [at + (LEVELS * i + j) * LANES].
    """
    best = _LARGEST
    place = -1
    for vector in range(grid.starts[number], grid.starts[number + 1]):
        error = splat(F(0))
        for i in range(GROUP):
            low = at + LEVELS * i * LANES
            word = 2 * (vector * GROUP + i)
            term = select(mask_of(grid.planes[word]), splat(errors[low + LANES]), errors[low])
            error += select(mask_of(grid.planes[word + 1]), errors[low + 2 * LANES], term)
        least = smallest(select(error < _LARGEST, error, _LARGEST))
        if least < best:
            best = least
            place = vector * LANES + first_lane(error == least)
    return grid.neighbours[place] if place >= 0 else -1


@inner
def add_sums(
    x: Lanes, w: Lanes, shifts: Ints, points: IntLanes, factor: Floats, sums: tuple[Floats, Floats], grid: Iq1Grid
) -> tuple[Floats, Floats]:
    """Add w * q * x and w * q^2 of a sub-block to the sums: q is `factor` times the values of its points' levels."""
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
    j: int, x: Lanes, scale: Floats, split: Ints, threshold: np.float32, work: Work, grid: Iq1Grid
) -> None:
    """Choose the points, the scale and the shifts of the sub-blocks number j, whose split was found.

    Args:
        j: number of the sub-blocks in their super-blocks.
        x: their values, flat float32[size * LANES]; weights and ranks are in `work`.
        scale: the splits' scales, of either sign.
        split: the splits.
        threshold: a sub-block whose magnitudes are below it counts as zero.
        work: receives points, scales and shifts; all are 0 for sub-blocks without a split or below the threshold.
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
    points = work.points[j * x.size // GROUP : (j + 1) * x.size // GROUP]
    outside = _look_up(x, scale, split, flipped, shifts, work, points, grid)
    if any_lane(outside):
        for place in range(points.size):
            if points[place] < 0:
                lane = place % LANES
                at = LEVELS * GROUP * (place - lane) + lane
                points[place] = _best_neighbour(work.errors, at, -1 - points[place], grid)
                if points[place] < 0:
                    raise OverflowError(_OVERFLOW)
        sum_qx, sum_q2 = add_sums(x, work.w, shifts, points, splat(F(1)), (splat(F(0)), splat(F(0))), grid)
        scale = select(outside & (sum_qx > F(0)) & (sum_q2 > F(0)), sum_qx / sum_q2, scale)
    if any_lane(scale != scale):
        raise OverflowError(_OVERFLOW)
    store(work.scales, j * LANES, scale)
    store_ints(work.shifts, j * LANES, shifts)


@inner
def store_scales(work: Work, count: int) -> Floats:
    """Round the scales of that many sub-blocks to 0..7, for 1, 3 .. 15 times d; return 15 d, the largest of them."""
    largest: Floats = splat(F(0))
    for j in range(0, count * LANES, LANES):
        scale = load(work.scales, j)
        largest = select(largest > scale, largest, scale)
    largest = select(largest == F(0), F(0), largest)  # a scale that underflows is -0, and the reference's d then +0
    inverse = F(1) / (largest / STEPS)
    for j in range(0, count * LANES, LANES):
        level = odd_levels(inverse * load(work.scales, j), I(TOP_SCALE))
        # Where all scales are zero, the reference stores neither scales nor shifts.
        store_ints(work.stored_scales, j, select(largest == F(0), I(0), level))
        store_ints(work.shifts, j, select(largest == F(0), I(0), load_ints(work.shifts, j)))
    return largest
