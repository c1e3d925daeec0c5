"""What the IQ2 types share: the fit of a super-block's sub-blocks.

Method: ggml-quants.c, `quantize_row_iq2_xxs_impl`, `quantize_row_iq2_xs_impl` and `quantize_row_iq2_s_impl`: magnitudes
are rounded to levels 0, 1, 2, which stand for 1, 3, 5 times the scale of their sub-block, each group of eight is moved
to a point of the grid, and of a row of candidate scales the one whose points explain most is kept. Then the points are
sought once more under the scale that fits them best.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantize_cli.blocks.base import SUPER_BLOCK, Blocks, Importance
from quantize_cli.blocks.grids.levels import BOUND, odd_levels
from quantize_cli.blocks.iq2.grid import Iq2Grid
from quantize_cli.blocks.iq2.nearest import (
    GROUP,
    MOVED,
    TOP,
    Candidates,
    IntLanes,
    move_again,
    move_to_grid,
    new_candidates,
    round_group,
)
from quantize_cli.blocks.search.positive import fit_positive
from quantize_cli.blocks.search.weights import sum_of_squares, weigh_importance
from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.lanes import Lanes, load_lanes, new_lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    Mask,
    any_lane,
    load,
    load_ints,
    magnitude,
    nowhere,
    select,
    splat,
    splat_int,
    square_root,
    store,
    store_ints,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741

GROUPS = SUPER_BLOCK // GROUP
#: The value of the largest level.
TOP_VALUE = 2 * TOP + 1
TOP_SCALE = 15


class Search(NamedTuple):
    """The constants of a type's search."""

    size: int  #: elements of a sub-block
    reach: int  #: candidate i has the inverse scale (5 + 0.1 * i) / maximum, i = -reach..reach
    positive: bool  #: the maximum comes from a fit of the levels 0..4, and all groups are sought again
    parity: bool  #: a group has an even number of minus signs: the sign that costs least is changed
    variance: np.float32  #: factor of the mean square in the weights
    epsilon: np.float32  #: sub-blocks whose maximum is below this count as zero


class Work(NamedTuple):
    """Room for LANES super-blocks; flat buffers of vectors."""

    x: Lanes  #: 256 vectors
    importance: Lanes  #: 256 vectors
    w: Lanes  #: weights of a sub-block
    levels: Lanes  #: of the fit of the maximum
    candidates: Candidates  #: of a sub-block: magnitudes, the square roots of the weights, and what belongs to them
    chosen: IntLanes  #: 32 vectors: the points
    signs: IntLanes  #: 32 vectors: a bit for each minus sign
    scales: Lanes  #: 16 vectors at most, a sub-block each
    sums: Lanes  #: 2 vectors
    stored: IntLanes  #: 16 vectors at most: levels of the scales
    d: Lanes  #: 1 vector: what a level of the scales stands for


@maker
def new_work(search: Search) -> Work:
    """Allocate the buffers of a search."""
    sub_blocks = SUPER_BLOCK // search.size
    return Work(
        new_lanes(SUPER_BLOCK),
        new_lanes(SUPER_BLOCK),
        new_lanes(search.size),
        new_lanes(search.size),
        new_candidates(search.size, 2 * search.reach + 1),
        new_lanes(GROUPS).view(np.int32),
        new_lanes(GROUPS).view(np.int32),
        new_lanes(sub_blocks),
        new_lanes(2),
        new_lanes(sub_blocks).view(np.int32),
        new_lanes(1),
    )


@inner
def _take_signs(x: Lanes, w: Lanes, start: int, parity: bool, values: Lanes) -> Ints:
    """Take the minus signs off the group at `start`, and return them as bits; parity may leave a value negative."""
    signs = splat_int(I(0))
    odd = splat_int(I(0))
    least = load(w, start) * load(x, start) * load(x, start)
    where = splat_int(I(0))
    for i in range(GROUP):
        at = start + i * LANES
        value = load(x, at)
        negative = select(value >= F(0), I(0), splat_int(I(1)))
        store(values, at, select(value >= F(0), value, -value))
        signs |= negative << I(i)
        odd = odd ^ negative
        cost = load(w, at) * value * value
        better = cost < least
        least = select(better, cost, least)
        where = select(better, I(i), where)
    if parity:
        for i in range(GROUP):
            at = start + i * LANES
            value = load(values, at)
            changed = (where == I(i)) & (odd == I(1))
            store(values, at, select(changed, -value, value))
            signs = signs ^ select(changed, I(1 << i), splat_int(I(0)))
        signs &= I(127)
    return signs


@inner
def _largest(values: Lanes) -> Floats:
    largest = load(values, 0)
    for i in range(LANES, values.size, LANES):
        value = load(values, i)
        largest = select(largest > value, largest, value)
    return largest


@inner
def _most(values: Lanes) -> Floats:
    """Find the largest magnitude."""
    most = splat(F(0))
    for i in range(0, values.size, LANES):
        value = magnitude(load(values, i))
        most = select(most > value, most, value)
    return most


@inner
def _sums(values: Lanes, w: Lanes, points: IntLanes, start: int, stride: int, sums: Lanes) -> None:
    """Sum w * x * q and w * q^2 over the sub-block whose groups have the points at `start`, `start` + `stride`, ..."""
    sum_xq = splat(F(0))
    sum_q2 = splat(F(0))
    for i in range(0, values.size, GROUP * LANES):
        doubled = load_ints(points, start) << I(1)
        start += stride
        for k in range(GROUP):
            place = i + k * LANES
            weight = load(w, place)
            q = to_floats(doubled >> I(2 * k) & I(2 * 3) | I(1))
            weighted = weight * q
            sum_xq += weight * load(values, place) * q
            sum_q2 += weighted * q
    store(sums, 0, sum_xq)
    store(sums, LANES, sum_q2)


@inner
def _fit(
    grid: Iq2Grid,
    search: Search,
    largest: Floats,
    most: Floats,
    zero: Mask,
    scale: Floats,
    chosen: IntLanes,
    work: Work,
) -> Floats:
    """Keep, in `chosen`, the points of the candidate that explains most; return their scale."""
    groups = search.size // GROUP
    steps = 2 * search.reach + 1
    run = steps * LANES
    w, sums, values = work.w, work.sums, work.candidates.values
    inverses, scales, points = work.candidates.inverses, work.candidates.scales, work.candidates.points
    for step in range(steps):
        inverse = (F(TOP_VALUE) + F(step - search.reach) * F(0.1)) / largest
        store(sums, 0, F(1) / inverse)
        for lane in range(LANES):
            scales[lane * LANES + step] = sums[lane]
        inverse = select(zero, F(0), inverse)  # level 0 everywhere, which is on every grid
        store(inverses, step * LANES, inverse)
    # The last is the largest.
    bounded = not any_lane(~(load(inverses, (steps - 1) * LANES) * most < BOUND))
    for k in range(groups):
        move_to_grid(grid, work.candidates, k, bounded)
        store_ints(chosen, k * LANES, splat_int(I(0)))
    best = splat(F(0))
    for step in range(steps):
        _sums(values, w, points, step * LANES, run, sums)
        sum_xq, sum_q2 = load(sums, 0), load(sums, LANES)
        better = (sum_q2 > F(0)) & (sum_xq * sum_xq > best * sum_q2)
        scale = select(better, sum_xq / sum_q2, scale)
        best = select(better, scale * sum_xq, best)
        for k in range(groups):
            point = load_ints(points, k * run + step * LANES)
            store_ints(chosen, k * LANES, select(better, point, load_ints(chosen, k * LANES)))
    return scale


@inner
def _fit_again(
    grid: Iq2Grid, search: Search, most: Floats, zero: Mask, scale: Floats, chosen: IntLanes, work: Work
) -> Floats:
    """Seek the points once more under the scale found; return the scale for them."""
    values, sums = work.candidates.values, work.sums
    again = (scale > F(0)) & ~zero
    if not search.positive:
        moved = nowhere()
        for k in range(0, chosen.size, LANES):
            moved = moved | (load_ints(chosen, k) >= I(MOVED))
        again = again & moved
    inverse = F(1) / scale
    bounded = not any_lane(again & ~(inverse * most < BOUND))
    for k in range(chosen.size // LANES):
        points = chosen[k * LANES : (k + 1) * LANES]
        point = load_ints(points, 0)
        sought = again if search.positive else again & (point >= I(MOVED))
        pattern = round_group(values, k * GROUP * LANES, inverse, bounded)
        store_ints(points, 0, select(sought, pattern, point))
        move_again(grid, work.candidates, k, scale, sought, points)
    _sums(values, work.w, chosen, 0, LANES, sums)
    sum_xq, sum_q2 = load(sums, 0), load(sums, LANES)
    found: Floats = select(again & (sum_q2 > F(0)), sum_xq / sum_q2, scale)
    return found


@inner
def _weigh(x: Lanes, importance: Lanes | None, variance: Floats, work: Work) -> None:
    """Compute the weights of a sub-block's elements, and their square roots."""
    w, roots = work.w, work.candidates.roots
    if importance is None:
        for i in range(0, x.size, LANES):
            value = load(x, i)
            store(w, i, F(0.25) * variance + value * value)
    else:
        weigh_importance(x, importance, variance, w)
    for i in range(0, x.size, LANES):
        store(roots, i, square_root(load(w, i)))


@inner
def _fit_sub_block(grid: Iq2Grid, search: Search, x: Lanes, signs: IntLanes, chosen: IntLanes, work: Work) -> Floats:
    """Find signs and points of a sub-block whose weights are known; return its scale, never negative."""
    w, values = work.w, work.candidates.values
    for k in range(0, signs.size, LANES):
        store_ints(signs, k, _take_signs(x, w, k * GROUP, search.parity, values))
    largest, most = _largest(values), _most(values)
    zero = largest < search.epsilon
    if search.positive:
        scale = fit_positive(values, w, I(4), work.levels)
        largest = scale * F(3)
        zero = zero | (largest <= F(0))
    else:
        scale = largest / F(TOP_VALUE)
    scale = _fit(grid, search, largest, most, zero, scale, chosen, work)
    scale = _fit_again(grid, search, most, zero, scale, chosen, work)
    negative = scale < F(0)
    every = I(127) if search.parity else I(255)
    for k in range(0, signs.size, LANES):
        held = load_ints(signs, k)
        held = select(negative, ~held & every, held)
        store_ints(signs, k, select(zero, I(0), held))
        store_ints(chosen, k, select(zero, I(0), load_ints(chosen, k)))
    found: Floats = select(zero, F(0), select(negative, -scale, scale))
    return found


@inner
def fit_super_blocks(
    blocks: Blocks, importance: Importance | None, first: int, grid: Iq2Grid, search: Search, work: Work
) -> int:
    """Fit up to LANES super-blocks, from number `first` on: their points, signs, scales and d; return how many."""
    count: int = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
    variance = search.variance * sum_of_squares(work.x) / F(SUPER_BLOCK)
    largest = splat(F(0))
    for j in range(SUPER_BLOCK // search.size):
        elements = slice(j * search.size * LANES, (j + 1) * search.size * LANES)
        groups = slice(elements.start // GROUP, elements.stop // GROUP)
        x = work.x[elements]
        if importance is None:
            _weigh(x, None, variance, work)
        else:
            _weigh(x, work.importance[elements], variance, work)
        scale = _fit_sub_block(grid, search, x, work.signs[groups], work.chosen[groups], work)
        store(work.scales, j * LANES, scale)
        largest = select(largest > scale, largest, scale)
    d = largest / F(31)
    store(work.d, 0, d)
    inverse = F(1) / d
    for j in range(0, work.scales.size, LANES):
        store_ints(work.stored, j, odd_levels(inverse * load(work.scales, j), I(TOP_SCALE)))
    return count
