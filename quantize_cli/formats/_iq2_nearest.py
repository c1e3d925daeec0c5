"""The point of a 2-bit grid that a group of eight weights takes: itself, or the best of its neighbours.

Method: ggml-quants.c, `iq2_find_best_neighbour`: of a pattern's neighbours, the first with the smallest
D(s) = sum of w * (s * q - x)^2, in element order in float32, where q = 1, 3, 5 stands for level 0, 1, 2 and s is the
scale of a candidate. Every candidate of a sub-block asks for it, and so nearly all time goes there.

Lists are read much less often than that. Divided by s and without what all neighbours share, D(s) becomes the line
A * s - B with A = sum of w * q^2 and B = 2 * sum of w * x * q. Where the same neighbour is the lowest of a list at two
scales, so it is at every scale between them: one reading of the list serves a run of candidates that round to the same
pattern. A and B come from tables over the patterns of half a group. Rounding makes lines and the reference's own sums
inexact; a neighbour counts as the lowest only if it leads by more than both can err (`_slack`), and otherwise the
reference's sums decide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._grid import Grid
from quantize_cli.formats._lanes import Lanes
from quantize_cli.formats._vector import LANES, Floats, Ints, lane_numbers, select, splat, store, to_floats

F = np.float32
I = np.int32  # noqa: E741
GROUP = 8
#: Flags of a point beside its pattern: it is not the pattern that was asked for; and the lines have shown that it leads.
MOVED, LEADS = 1 << 16, 1 << 17
PATTERN = MOVED - 1

_HALF = 4
#: Room for the patterns of a half: 170 is the largest.
_TABLE = 192
_INFINITY = F(np.inf)
#: 64 units of 2^-24; the errors on both sides of a comparison, 11 for each line and 13 for each of the reference's
#: sums, in units of 2^-24 times the bound of D, are 48.
_ERROR = F(2.0**-18)
#: Smallest and largest numbers for which underflows and overflows do not count.
_TINY, _HUGE = F(1e-30), F(1e38)


class Group(NamedTuple):
    """One group, taken out of its lane."""

    x: NDArray[np.float32]  #: [8]
    w: NDArray[np.float32]  #: [8]
    lines: NDArray[np.float32]  #: A of the low half's patterns, A of the high half's, B and B: [4 * _TABLE]
    pair: NDArray[np.float32]  #: [LANES]
    sums: NDArray[np.float32]  #: sums of w, w * |x| and w * x^2


@kernel
def new_group() -> Group:
    """Room for one."""
    return Group(
        np.empty(GROUP, np.float32),
        np.empty(GROUP, np.float32),
        np.empty(4 * _TABLE, np.float32),
        np.empty(LANES, np.float32),
        np.empty(3, np.float32),
    )


@kernel
def _value(level: Ints, squared: bool) -> Floats:
    value = to_floats(I(2) * level + I(1))
    return value * value if squared else value


@kernel
def _tabulate(c: NDArray[np.float32], start: int, squared: bool, pair: NDArray[np.float32], table: Lanes) -> None:
    """For each pattern of elements `start` to `start` + 3, the sum of c * q, or c * q^2."""
    lane = lane_numbers()
    low = _value(lane & I(3), squared)
    high = _value(lane >> I(2) & I(3), squared)
    first = c[start] * low + c[start + 1] * high
    store(pair, 0, c[start + 2] * low + c[start + 3] * high)
    upper = lane > I(15)
    for row in range(0, _TABLE // 16, 2):
        store(table, row * 16, first + select(upper, splat(pair[row + 1]), splat(pair[row])))


@kernel
def _prepare(x: Lanes, w: Lanes, lane: int, group: Group, lines: bool) -> None:
    """Take a group out of its lane, with its tables or without."""
    for i in range(GROUP):
        group.x[i] = x[i * LANES + lane]
        group.w[i] = w[i * LANES + lane]
    if not lines:
        return
    sum_w = sum_wx = sum_wx2 = F(0)
    for i in range(GROUP):
        value = abs(group.x[i])
        sum_w += group.w[i]
        sum_wx += group.w[i] * value
        sum_wx2 += group.w[i] * value * value
    group.sums[0], group.sums[1], group.sums[2] = sum_w, sum_wx, sum_wx2
    _tabulate(group.w, 0, True, group.pair, group.lines[:_TABLE])
    _tabulate(group.w, _HALF, True, group.pair, group.lines[_TABLE : 2 * _TABLE])
    for i in range(GROUP):
        group.pair[i] = F(2) * group.w[i] * group.x[i]
    c = group.pair[:GROUP].copy()
    _tabulate(c, 0, False, group.pair, group.lines[2 * _TABLE : 3 * _TABLE])
    _tabulate(c, _HALF, False, group.pair, group.lines[3 * _TABLE :])


@kernel
def _slack(group: Group, largest: np.float32, smallest: np.float32) -> np.float32:
    """By how much a line must lead between these two scales; infinite where that is not known."""
    sum_w, sum_wx, sum_wx2 = group.sums[0], group.sums[1], group.sums[2]
    # No neighbour has 5 * s + |x| < |s * q - x|.
    bound = F(25) * largest * largest * sum_w + F(10) * largest * sum_wx + sum_wx2
    known = bound > _TINY and bound < _HUGE and smallest * sum_w > _TINY
    return _ERROR * (bound / smallest) if known else _INFINITY


@kernel
def _leader(grid: Grid, place: int, group: Group, largest: np.float32, smallest: np.float32) -> int:
    """The pattern of the neighbour that leads at both scales, and so between; -1 if none is known to."""
    best = next_best = best_too = next_best_too = _INFINITY
    at = at_too = 0
    lines, neighbours = group.lines, grid.neighbours
    for n in range(place + 1, place + 1 + neighbours[place]):
        pattern = np.uint32(neighbours[n])
        low, high = np.uint32(pattern & np.uint32(255)), np.uint32(pattern >> np.uint32(8))
        a = lines[low] + lines[high + np.uint32(_TABLE)]
        b = lines[low + np.uint32(2 * _TABLE)] + lines[high + np.uint32(3 * _TABLE)]
        height, height_too = a * largest - b, a * smallest - b
        next_best = min(next_best, max(best, height))
        at = n if height < best else at
        best = min(best, height)
        next_best_too = min(next_best_too, max(best_too, height_too))
        at_too = n if height_too < best_too else at_too
        best_too = min(best_too, height_too)
    slack = _slack(group, largest, smallest)
    # Comparisons with NaN fail.
    leads = at == at_too and next_best - best > slack and next_best_too - best_too > slack
    return int(neighbours[at]) if leads else -1


@kernel
def _nearest(grid: Grid, place: int, group: Group, scale: np.float32) -> int:
    """The pattern of the neighbour with the smallest D, as the reference computes it."""
    best = F(np.finfo(np.float32).max)
    # Where every D overflows the reference gives up.
    found = int(grid.neighbours[place + 1])
    for n in range(place + 1, place + 1 + grid.neighbours[place]):
        pattern = int(grid.neighbours[n])
        error = F(0)
        for i in range(GROUP):
            difference = scale * F(2 * (pattern >> 2 * i & 3) + 1) - group.x[i]
            error += group.w[i] * difference * difference
        if error < best:
            best = error
            found = pattern
    return found


@kernel
def move_to_grid(
    grid: Grid,
    x: Lanes,
    w: Lanes,
    lane: int,
    scales: Lanes,
    patterns: NDArray[np.int32],
    group: Group,
    points: NDArray[np.int32],
) -> None:
    """The points that one group takes for each candidate.

    Args:
        grid: the grid.
        x: values of the groups in all lanes, flat float32[8 * LANES].
        w: their weights in D, same layout.
        lane: the group's.
        scales: the candidates' scales, falling, flat float32[candidates * LANES].
        patterns: what the group rounds to, flat int32[candidates * LANES].
        group: to work in.
        points: receives the points with their flags, same layout.
    """
    steps = patterns.size // LANES
    prepared = False
    first = 0
    while first < steps:
        pattern = patterns[first * LANES + lane]
        place = grid.places[pattern]
        last = first
        while last + 1 < steps and patterns[(last + 1) * LANES + lane] == pattern:
            last += 1
        if place >= 0:
            for step in range(first, last + 1):
                points[step * LANES + lane] = pattern
            first = last + 1
            continue
        if not prepared:
            _prepare(x, w, lane, group, True)
            prepared = True
        place = -1 - place
        stop = last
        found = _leader(grid, place, group, scales[first * LANES + lane], scales[stop * LANES + lane])
        while found < 0 and stop > first:
            stop = (first + stop) // 2
            found = _leader(grid, place, group, scales[first * LANES + lane], scales[stop * LANES + lane])
        if found >= 0:
            found |= LEADS
        else:
            found = _nearest(grid, place, group, scales[first * LANES + lane])
        for step in range(first, stop + 1):
            points[step * LANES + lane] = found | MOVED
        first = stop + 1


@kernel
def point_at(
    grid: Grid,
    x: Lanes,
    w: Lanes,
    lane: int,
    scales: Lanes,
    patterns: NDArray[np.int32],
    points: NDArray[np.int32],
    scale: np.float32,
    pattern: int,
    group: Group,
) -> int:
    """The point that a group takes at another scale, at which it rounds to `pattern`; the candidates' may settle it."""
    place = grid.places[pattern]
    if place >= 0:
        return pattern
    for step in range(patterns.size // LANES - 1):
        here, there = step * LANES + lane, (step + 1) * LANES + lane
        between = scales[here] >= scale and scales[there] <= scale
        same = patterns[here] == pattern and patterns[there] == pattern and points[here] == points[there]
        if between and same and points[here] & LEADS:
            return int(points[here] & PATTERN)
    _prepare(x, w, lane, group, False)
    return _nearest(grid, -1 - place, group, scale)
