"""The point of a 2-bit grid that a group of eight weights takes: itself, or the best of its neighbours.

Method: ggml-quants.c, `iq2_find_best_neighbour`: of a pattern's neighbours, the first with the smallest
D(s) = sum of w * (s * q - x)^2, in element order in float32, where q = 1, 3, 5 stands for level 0, 1, 2 and s is the
scale of a candidate. Every candidate of a sub-block asks for it, so that nearly all time goes there.

Here a list of neighbours is read once for a run of candidates that round to the same pattern. The candidates are the
lanes, and the terms of D, three for each element, are in a table: a neighbour costs eight additions of vectors.

A long list is shortened first. Divided by s, and without what all neighbours share, D(s) is a line, A * s - B with
A = sum of w * q^2 and B = 2 * sum of w * x * q; both come from tables over the patterns of half a group. A neighbour
whose line lies above that of another one at both ends of the run does so all along it. What is left is whatever does
not lie above the line that is lowest in the middle: mostly one neighbour or two. Lines and the reference's sums are
rounded; only what lies higher than both can err (`_slack`) is left out.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.iq2.grid import Iq2Grid
from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    any_lane,
    first_lane,
    lane_numbers,
    load,
    select,
    smallest,
    splat,
    store,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741
GROUP = 8
#: A buffer to work in, float32[SCRATCH].
Scratch: TypeAlias = NDArray[np.float32]
#: Flag of a point beside its pattern: it is not the pattern that was asked for.
MOVED = 1 << 16
PATTERN = MOVED - 1
#: Room for a short list: a count and patterns, as in a grid's neighbours.
SLOT = 16

#: Room for the patterns of half a group: 170 is the largest.
_TABLE = 192
#: What a scratch buffer holds, in one array: x, w and 2 * w * x of the group; a vector; sums of w, w * |x| and w * x^2;
#: A for the patterns of the low half and of the high half, and B; A and B of the neighbours in order; the scales of the
#: candidates; the terms of D.
_X, _W, _WX, _ROW, _SUMS = 0, GROUP, 2 * GROUP, LANES, 2 * LANES
_A_TABLES = 3 * LANES
_B_TABLES = _A_TABLES + 2 * _TABLE
_A = _B_TABLES + 2 * _TABLE
_B = _A + 1024 + LANES
_SCALES = _B + 1024 + LANES
_TERMS = _SCALES + LANES
SCRATCH = _TERMS + 3 * GROUP * LANES

_INFINITY = F(np.inf)
#: 64 units of 2^-24; the errors on both sides of a comparison, 11 for each line and 13 for each of the reference's
#: sums, in units of 2^-24 times the bound of D, are 48.
_ERROR = F(2.0**-18)
#: Smallest and largest numbers for which underflows and overflows do not count.
_TINY, _HUGE = F(1e-30), F(1e38)


@inner
def _value(level: Ints, squared: bool) -> Floats:
    value = to_floats(I(2) * level + I(1))
    return value * value if squared else value


@inner
def _tabulate(scratch: Scratch, start: int, squared: bool, table: int) -> None:
    """Sum c * q, or c * q^2, for each pattern of the four elements whose c are at `start`."""
    lane = lane_numbers()
    low = _value(lane & I(3), squared)
    high = _value(lane >> I(2) & I(3), squared)
    first = scratch[start] * low + scratch[start + 1] * high
    store(scratch, _ROW, scratch[start + 2] * low + scratch[start + 3] * high)
    upper = lane > I(15)
    for i in range(0, _TABLE // 16, 2):
        rest = select(upper, splat(scratch[_ROW + i + 1]), splat(scratch[_ROW + i]))
        store(scratch, table + i * 16, first + rest)


@inner
def _tabulate_lines(scratch: Scratch) -> None:
    """Compute A and B of all patterns of half a group."""
    sum_w = sum_wx = sum_wx2 = F(0)
    for i in range(GROUP):
        value, weight = scratch[_X + i], scratch[_W + i]
        scratch[_WX + i] = F(2) * weight * value
        sum_w += weight
        sum_wx += weight * abs(value)
        sum_wx2 += weight * value * value
    scratch[_SUMS], scratch[_SUMS + 1], scratch[_SUMS + 2] = sum_w, sum_wx, sum_wx2
    for half in range(2):
        _tabulate(scratch, _W + half * GROUP // 2, True, _A_TABLES + half * _TABLE)
        _tabulate(scratch, _WX + half * GROUP // 2, False, _B_TABLES + half * _TABLE)


@inner
def _slack(scratch: Scratch, largest: np.float32, least: np.float32) -> np.float32:
    """Compute by how much a line must lie above another between these two scales; infinite where that is unknown."""
    sum_w, sum_wx, sum_wx2 = scratch[_SUMS], scratch[_SUMS + 1], scratch[_SUMS + 2]
    # D with |s * q - x| taken as 5 * s + |x|.
    bound = F(25) * largest * largest * sum_w + F(10) * largest * sum_wx + sum_wx2
    known = bound > _TINY and bound < _HUGE and least * sum_w > _TINY
    return _ERROR * (bound / least) if known else _INFINITY


@inner
def _draw_lines(neighbours: NDArray[np.uint16], place: int, count: int, scratch: Scratch) -> None:
    """Compute A and B of the neighbours at `place`. Behind them the last vector's lines are infinitely high."""
    last = (count - 1) // LANES * LANES
    store(scratch, _A + last, splat(F(0)))
    store(scratch, _B + last, splat(-_INFINITY))
    for n in range(count):
        pattern = int(neighbours[place + 1 + n])
        low, high = pattern & 255, pattern >> 8
        scratch[_A + n] = scratch[_A_TABLES + low] + scratch[_A_TABLES + _TABLE + high]
        scratch[_B + n] = scratch[_B_TABLES + low] + scratch[_B_TABLES + _TABLE + high]


@inner
def _lowest(count: int, scale: np.float32, scratch: Scratch) -> int:
    """Find the number of a neighbour whose line is the lowest at this scale."""
    lowest = splat(_INFINITY)
    where = splat(F(0))
    for at in range(0, count, LANES):
        height = load(scratch, _A + at) * scale - load(scratch, _B + at)
        lower = height < lowest
        lowest = select(lower, height, lowest)
        where = select(lower, F(at), where)
    lane = first_lane(lowest == smallest(lowest))
    store(scratch, _ROW, where)
    return int(scratch[_ROW + lane]) + lane


@inner
def _shorten(
    neighbours: NDArray[np.uint16],
    place: int,
    scales: tuple[np.float32, np.float32],
    scratch: Scratch,
    short: NDArray[np.uint16],
    slot: int,
) -> None:
    """Put the neighbours that may be the best between two scales into `short`, in order; none if that fails."""
    largest, least = scales
    slack = _slack(scratch, largest, least)
    held = 0
    if slack < _INFINITY:
        count = int(neighbours[place])
        _draw_lines(neighbours, place, count, scratch)
        pivot = _lowest(count, F(0.5) * (largest + least), scratch)
        top = scratch[_A + pivot] * largest - scratch[_B + pivot] + slack
        top_too = scratch[_A + pivot] * least - scratch[_B + pivot] + slack
        for at in range(0, count, LANES):
            a, b = load(scratch, _A + at), load(scratch, _B + at)
            left = (a * largest - b <= top) | (a * least - b <= top_too)
            while any_lane(left):
                lane = first_lane(left)
                left = left & (lane_numbers() > I(lane))
                held += 1
                if held < SLOT:
                    short[slot + held] = neighbours[place + 1 + at + lane]
    short[slot] = held if held < SLOT else 0


@inner
def _nearest(neighbours: NDArray[np.uint16], place: int, scale: np.float32, scratch: Scratch) -> int:
    """Find the first of the patterns counted at `place` with the smallest D, as the reference computes it."""
    best = F(np.finfo(np.float32).max)
    # Where every D overflows the reference gives up.
    found = int(neighbours[place + 1])
    for n in range(place + 1, place + 1 + neighbours[place]):
        pattern = int(neighbours[n])
        error = F(0)
        for i in range(GROUP):
            difference = scale * F(2 * (pattern >> 2 * i & 3) + 1) - scratch[_X + i]
            error += scratch[_W + i] * difference * difference
        found = pattern if error < best else found
        best = error if error < best else best
    return found


@inner
def _tabulate_terms(scratch: Scratch) -> None:
    """Compute the terms of D for each element, level and candidate."""
    scale = load(scratch, _SCALES)
    for i in range(GROUP):
        for level in range(3):
            difference = scale * F(2 * level + 1) - scratch[_X + i]
            store(scratch, _TERMS + (3 * i + level) * LANES, scratch[_W + i] * difference * difference)


@inner
def _nearest_to_all(neighbours: NDArray[np.uint16], place: int, scratch: Scratch) -> None:
    """Find what `_nearest` does for each candidate, as floats in the scratch buffer's vector."""
    best = splat(F(np.finfo(np.float32).max))
    found = splat(F(neighbours[place + 1]))
    for n in range(place + 1, place + 1 + neighbours[place]):
        pattern = int(neighbours[n])
        error = load(scratch, _TERMS + (pattern & 3) * LANES)
        for i in range(1, GROUP):
            error += load(scratch, _TERMS + (3 * i + (pattern >> 2 * i & 3)) * LANES)
        better = error < best
        best = select(better, error, best)
        found = select(better, F(pattern), found)
    store(scratch, _ROW, found)


class Candidates(NamedTuple):
    """The candidates of a sub-block in all lanes; its groups one after another."""

    values: Lanes  #: x, a vector for each element
    roots: Lanes  #: w, a vector for each element
    scales: Lanes  #: the candidates' scales, falling, a vector for each
    patterns: NDArray[np.int32]  #: what a group rounds to, a vector for each candidate
    points: NDArray[np.int32]  #: what that becomes, with flags, a vector for each candidate
    short: NDArray[np.uint16]  #: a short list for each of the patterns, filled for the first of those that are equal


@inner
def _take(candidates: Candidates, group: int, lane: int, scratch: Scratch) -> None:
    """Take a group and the candidates' scales out of their lane."""
    values, roots = candidates.values, candidates.roots
    for i in range(GROUP):
        at = (group * GROUP + i) * LANES + lane
        scratch[_X + i] = values[at]
        scratch[_W + i] = roots[at]
    for step in range(candidates.scales.size // LANES):
        scratch[_SCALES + step] = candidates.scales[step * LANES + lane]


@inner
def move_to_grid(grid: Iq2Grid, candidates: Candidates, group: int, scratch: Scratch) -> None:
    """Find the points of a group for every candidate in every lane."""
    places, neighbours = grid.places, grid.neighbours
    scales, short = candidates.scales, candidates.short
    patterns, points = candidates.patterns, candidates.points
    start = group * scales.size
    for lane in range(LANES):
        taken = lined = termed = False
        first = start + lane
        while first < start + scales.size:
            pattern = patterns[first]
            stop = first + LANES
            while stop < start + scales.size and patterns[stop] == pattern:
                stop += LANES
            if places[pattern] >= 0:
                for at in range(first, stop, LANES):
                    points[at] = pattern
                first = stop
                continue
            if not taken:
                _take(candidates, group, lane, scratch)
                taken = True
            place, slot = -1 - places[pattern], first * SLOT
            short[slot] = 0
            if neighbours[place] >= SLOT:
                if not lined:
                    _tabulate_lines(scratch)
                    lined = True
                ends = scales[first - start], scales[stop - LANES - start]
                _shorten(neighbours, place, ends, scratch, short, slot)
            if short[slot] == 1:
                for at in range(first, stop, LANES):
                    points[at] = np.int32(short[slot + 1]) | I(MOVED)
            else:
                if not termed:
                    _tabulate_terms(scratch)
                    termed = True
                if short[slot] == 0:
                    _nearest_to_all(neighbours, place, scratch)
                else:
                    _nearest_to_all(short, slot, scratch)
                for at in range(first, stop, LANES):
                    points[at] = np.int32(scratch[_ROW + (at - start) // LANES]) | I(MOVED)
            first = stop


@inner
def move_again(
    grid: Iq2Grid, candidates: Candidates, group: int, scratch: Scratch, scales: Lanes, points: NDArray[np.int32]
) -> None:
    """Find the points of a group once more, under the scale found.

    Args:
        grid: the grid.
        candidates: the candidates, among them the one whose scale was improved.
        group: number of the group in its sub-block.
        scratch: to work in.
        scales: the scales found, float32[LANES]; where they are 0 nothing changes.
        points: what the group rounds to under them, with MOVED where it shall be sought; receives the points.
    """
    places, neighbours = grid.places, grid.neighbours
    tried, patterns, short = candidates.scales, candidates.patterns, candidates.short
    start = group * tried.size
    for lane in range(LANES):
        pattern = points[lane] & PATTERN
        place = places[pattern]
        if place >= 0 or points[lane] == pattern:
            points[lane] = pattern
            continue
        _take(candidates, group, lane, scratch)
        scale = scales[lane]
        # The candidates with scales on either side may have left a short list that holds here too.
        slot = -1
        first = lane
        for at in range(lane, tried.size - LANES, LANES):
            after = at + LANES
            if patterns[start + at] != patterns[start + first]:
                first = at
            same = patterns[start + at] == pattern and patterns[start + after] == pattern
            if same and tried[at] >= scale and scale >= tried[after]:
                slot = (start + first) * SLOT
        if slot >= 0 and short[slot] > 0:
            points[lane] = _nearest(short, slot, scale, scratch)
        else:
            points[lane] = _nearest(neighbours, -1 - place, scale, scratch)
