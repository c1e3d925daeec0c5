"""The point of a 2-bit grid that a group of eight weights takes: itself, or the best of its neighbours.

Method: ggml-quants.c, `iq2_find_best_neighbour`: of a pattern's neighbours, the first with the smallest
D(s) = sum of w * (s * q - x)^2, in element order in float32, where q = 1, 3, 5 stands for level 0, 1, 2 and s is the
scale of a candidate. Every candidate of a sub-block asks for it, so that nearly all time goes there.

Neighbouring candidates mostly round to the same pattern. A *run* of them reads the list of neighbours once: its
candidates are the lanes of a narrow vector, and the terms of D, three for each element, are in a table, so that a
neighbour costs eight additions. Runs are found in all blocks at once, and those that are off the grid are queued: no
branch then depends on whether a pattern is on the grid.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.grids.levels import SURE, bounded_levels, odd_levels
from quantize_cli.blocks.iq2.grid import FULL, PATTERNS, Iq2Grid
from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.lanes import Lanes, new_lanes
from quantize_cli.simd.vector import (
    LANES,
    NARROW,
    Floats,
    Ints,
    Mask,
    first_lane,
    lane_bits,
    load,
    load_ints,
    load_narrow,
    mask_of,
    narrow,
    select,
    splat,
    splat_int,
    store,
    store_ints,
    store_narrow,
    store_narrow_ints,
)

F = np.float32
I = np.int32  # noqa: E741
IntLanes: TypeAlias = NDArray[np.int32]
GROUP = 8
TOP = 2
#: Flag of a point beside its pattern: it is not the pattern that was asked for.
MOVED = PATTERNS
PATTERN = PATTERNS - 1

#: Levels of an element in a table of terms; one more than there are, so that an index is a shift.
_LEVELS = 4
_FLOAT_MAX = F(np.finfo(np.float32).max)


class Candidates(NamedTuple):
    """The candidates of a sub-block in all lanes; buffers of vectors, unless something else is written."""

    values: Lanes  #: x, a vector for each element
    roots: Lanes  #: w, a vector for each element
    inverses: Lanes  #: the candidates' inverse scales
    scales: Lanes  #: the scales: the vector number l holds those of lane l
    points: IntLanes  #: the points, with flags: the candidates of the first group, of the second ...
    patterns: IntLanes  #: of a group: what it rounds to, with FULL where the short list does not do
    moved: IntLanes  #: of a group: the best neighbours of runs that are off the grid, with room for NARROW behind
    on_grid: IntLanes  #: of a group: 1 vector, a bit for each candidate
    queue: IntLanes  #: of a group: places of the first candidates of runs off the grid; not vectors
    terms: Lanes  #: terms of D


@maker
def new_candidates(size: int, steps: int) -> Candidates:
    """Allocate the buffers for sub-blocks of `size` elements and that many candidates."""
    return Candidates(
        new_lanes(size),
        new_lanes(size),
        new_lanes(steps),
        new_lanes(LANES),
        new_lanes(size // GROUP * steps).view(np.int32),
        new_lanes(steps).view(np.int32),
        new_lanes(steps + NARROW).view(np.int32),
        new_lanes(1).view(np.int32),
        new_lanes(steps + 1).view(np.int32),
        new_lanes(GROUP * _LEVELS),
    )


@inner
def round_group(values: Lanes, start: int, inverse: Floats, bounded: bool) -> Ints:
    """Round the group at `start` to a pattern, with FULL where the short list of neighbours does not do.

    Args:
        values: the elements.
        start: the place of the group's first vector.
        inverse: the inverse scales.
        bounded: inverse * x is below BOUND in all lanes.
    """
    pattern = splat_int(I(0))
    if not bounded:
        for i in range(GROUP):
            pattern |= odd_levels(inverse * load(values, start + i * LANES), I(TOP)) << I(2 * i)
        pattern |= I(FULL)
        return pattern
    far = splat(F(0))
    for i in range(GROUP):
        level, off = bounded_levels(inverse * load(values, start + i * LANES), I(TOP))
        pattern |= level << I(2 * i)
        far = select(off > far, off, far)
    pattern &= I(PATTERN)
    pattern |= select(far > SURE, I(FULL), splat_int(I(0)))
    return pattern


@inner
def _queue_runs(grid: Iq2Grid, candidates: Candidates, group: int, bounded: bool) -> int:
    """Round a group under all candidates, and queue the runs that are off the grid; return how many."""
    values, inverses, patterns = candidates.values, candidates.inverses, candidates.patterns
    on_grid, queue = candidates.on_grid, candidates.queue
    places = grid.places
    store_ints(on_grid, 0, splat_int(I(0)))
    last = splat_int(I(-1))
    length = splat_int(I(0))
    count = 0
    for step in range(inverses.size // LANES):
        pattern = round_group(values, group * GROUP * LANES, load(inverses, step * LANES), bounded)
        store_ints(patterns, step * LANES, pattern)
        starts = (pattern != last) | (length == I(NARROW))
        length = select(starts, I(1), length + I(1))
        last = pattern
        left = lane_bits(starts)
        rest = I(-1 << step)
        while left != 0:
            lane = first_lane(mask_of(I(left)))
            left &= left - 1
            off = places[patterns[step * LANES + lane]] < 0
            on_grid[lane] = (on_grid[lane] & ~rest) | (I(0) if off else rest)
            queue[count] = step * LANES + lane
            count += 1 if off else 0
    return count


@inner
def _move_runs(grid: Iq2Grid, candidates: Candidates, group: int, count: int) -> None:
    """Find the best neighbours for as many runs in the queue; behind a run's end they mean nothing."""
    values, roots, scales, terms = candidates.values, candidates.roots, candidates.scales, candidates.terms
    patterns, moved, queue = candidates.patterns, candidates.moved, candidates.queue
    places, neighbours = grid.places, grid.neighbours
    found = queue.size - LANES
    for number in range(count):
        first = queue[number] & 0xFFFF
        lane = first % LANES
        once = load_narrow(scales, lane * LANES + first // LANES)
        thrice, five_times = once * narrow(splat(F(3))), once * narrow(splat(F(5)))
        for i in range(GROUP):
            at = (group * GROUP + i) * LANES + lane
            x, w = narrow(splat(values[at])), narrow(splat(roots[at]))
            difference = once - x
            store_narrow(terms, _LEVELS * i * NARROW, w * difference * difference)
            difference = thrice - x
            store_narrow(terms, (_LEVELS * i + 1) * NARROW, w * difference * difference)
            difference = five_times - x
            store_narrow(terms, (_LEVELS * i + 2) * NARROW, w * difference * difference)
        place = -1 - places[patterns[first]]
        best = narrow(splat(_FLOAT_MAX))
        # Where every D overflows the reference gives up.
        chosen = narrow(splat_int(I(neighbours[place + 1])))
        for n in range(place + 1, place + 1 + neighbours[place]):
            pattern = int(neighbours[n])
            error = load_narrow(terms, (pattern & 3) * NARROW)
            for i in range(1, GROUP):
                error += load_narrow(terms, (_LEVELS * i + (pattern >> 2 * i & 3)) * NARROW)
            better = error < best
            best = select(better, error, best)
            chosen = select(better, narrow(splat_int(I(pattern))), chosen)
        store_narrow_ints(queue, found, chosen)
        for i in range(NARROW):
            moved[first + i * LANES] = queue[found + i]


@inner
def move_to_grid(grid: Iq2Grid, candidates: Candidates, group: int, bounded: bool) -> None:
    """Find the points of a group for every candidate in every lane; `bounded` as in `round_group`."""
    _move_runs(grid, candidates, group, _queue_runs(grid, candidates, group, bounded))
    patterns, moved, points = candidates.patterns, candidates.moved, candidates.points
    on_grid = load_ints(candidates.on_grid, 0)
    start = group * patterns.size
    for step in range(patterns.size // LANES):
        same = (on_grid & I(1 << step)) != I(0)
        at = step * LANES
        point = select(same, load_ints(patterns, at) & I(PATTERN), load_ints(moved, at) | I(MOVED))
        store_ints(points, start + at, point)


@inner
def move_again(
    grid: Iq2Grid, candidates: Candidates, group: int, scale: Floats, sought: Mask, points: IntLanes
) -> None:
    """Find the points of a group once more, under the scale found.

    Args:
        grid: the grid.
        candidates: the elements, and room to work in.
        group: number of the group in its sub-block.
        scale: the scales found.
        sought: where to.
        points: 1 vector: there, what the group rounds to, as `round_group` tells; receives the points.
    """
    values, roots, terms, queue = candidates.values, candidates.roots, candidates.terms, candidates.queue
    places, neighbours = grid.places, grid.neighbours
    count = 0
    left = lane_bits(sought)
    while left != 0:
        lane = first_lane(mask_of(I(left)))
        left &= left - 1
        queue[count] = lane
        count += 1 if places[points[lane]] < 0 else 0
    for i in range(GROUP):
        at = (group * GROUP + i) * LANES
        x, w = load(values, at), load(roots, at)
        for level in range(TOP + 1):
            difference = scale * F(2 * level + 1) - x
            store(terms, (_LEVELS * i + level) * LANES, w * difference * difference)
    for number in range(count):
        lane = queue[number] & 0xFFFF
        place = -1 - places[points[lane]]
        best = _FLOAT_MAX
        chosen = int(neighbours[place + 1])
        for n in range(place + 1, place + 1 + neighbours[place]):
            pattern = int(neighbours[n])
            error = terms[(pattern & 3) * LANES + lane]
            for i in range(1, GROUP):
                error += terms[(_LEVELS * i + (pattern >> 2 * i & 3)) * LANES + lane]
            chosen = pattern if error < best else chosen
            best = error if error < best else best
        points[lane] = chosen
    store_ints(points, 0, load_ints(points, 0) & I(PATTERN))
