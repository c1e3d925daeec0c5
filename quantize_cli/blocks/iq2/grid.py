"""The grids of the IQ2 types: the patterns of eight levels 0..2 that can be stored, and their neighbours.

A pattern packs the levels of a group of eight weights, two bits each, the first in the lowest. A type keeps a list of
patterns, its grid, and stores a group as a number in that list. A pattern that the grid lacks is replaced by one of its
neighbours: the patterns of the grid at the smallest distances from it.

Two lists are kept for such a pattern. In the *short* list those neighbours are missing that another one outdoes
whatever the weights, as long as every element is nearer to its level than to any other: a neighbour is outdone if in
every coordinate a nearer one lies between it and the pattern. Roundings in float32 are monotone, so they never turn
that around.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.grids.points import grid_points

_BITS = 2
_GROUP = 8
_SHIFTS = _BITS * np.arange(_GROUP)
PATTERNS = 1 << _BITS * _GROUP
#: Flag of a pattern in `Iq2Grid.places`: the full list is meant.
FULL = PATTERNS
#: Type -> how many of the smallest distances from a pattern count as near.
_SHELLS = {"IQ2_XXS": 2, "IQ2_XS": 2, "IQ2_S": 1}


class Iq2Grid(NamedTuple):
    """A grid as kernels read it."""

    #: int32[2 * PATTERNS]: at each pattern the number of that point of the grid; for any other pattern -1 - p, where
    #: `neighbours[p]` is the number of its neighbours on the short list, and they follow. At FULL + the pattern the
    #: same with the full list.
    places: NDArray[np.int32]
    neighbours: NDArray[np.uint16]  #: counts and patterns
    patterns: NDArray[np.int32]  #: the grid in order


@cache
def iq2_grid(name: str) -> Iq2Grid:
    """Build the grid of the type of that name, and find the neighbours of all patterns.

    Method: ggml-quants.c, `iq2xs_init_impl`: the points of the grid by squared distance of the levels, then by their
    number, up to and including the smallest distances that occur, as many as count.
    """
    levels = grid_points(name)
    points = _packed(levels)
    numbers = np.full(PATTERNS, -1, np.int32)
    numbers[points] = np.arange(len(points))
    every = np.arange(PATTERNS)[:, None] >> _SHIFTS & (1 << _BITS) - 1
    off = np.flatnonzero((numbers < 0) & (every <= levels.max()).all(axis=1))

    # Small integers, which float32 holds exactly and multiplies fast.
    here, there = every[off].astype(np.float32), levels.astype(np.float32)
    distances = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1) - 2 * here @ there.T
    nearest = reach = distances.min(axis=1, keepdims=True)
    for _ in range(_SHELLS[name] - 1):
        reach = np.where(distances > reach, distances, np.inf).min(axis=1, keepdims=True)
    rows, columns = np.nonzero(distances <= reach)
    order = np.lexsort((columns, distances[rows, columns], rows))
    rows, columns = rows[order], columns[order]
    spans = _spans(levels[columns].astype(np.int8) - every[off[rows]].astype(np.int8))
    short = ~_outdone(rows, spans, (distances == nearest).sum(axis=1))

    places = np.concatenate([numbers, numbers])
    lists = []
    start = 0
    for first, kept in ((0, short), (FULL, np.ones_like(short))):
        counts = np.bincount(rows[kept], minlength=len(off))
        starts = np.arange(len(off)) + np.cumsum(counts) - counts
        held = np.empty(len(off) + counts.sum(), np.uint16)
        held[starts] = counts
        held[np.arange(counts.sum()) + rows[kept] + 1] = points[columns[kept]]
        places[first + off] = -1 - (start + starts)
        lists.append(held)
        start += len(held)
    return Iq2Grid(places, np.concatenate(lists), points)


def _packed(levels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Pack levels [n, 8] to patterns [n]."""
    return np.asarray((levels.astype(np.int32) << _SHIFTS).sum(axis=1, dtype=np.int32))


def _spans(deltas: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Give each delta -2..2 of levels [n, 8] 4 bits: the steps from 0 to it, on the side where it lies."""
    bits = np.array([0b1100, 0b0100, 0, 0b0001, 0b0011], np.uint32)[deltas + 2]
    return np.asarray(np.bitwise_or.reduce(bits << np.arange(0, 32, 4, dtype=np.uint32), axis=1), np.uint32)


def _outdone(rows: NDArray[np.intp], spans: NDArray[np.uint32], nearest: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell which neighbours, given by the spans from their patterns, a nearer one outdoes.

    Args:
        rows: the number of each neighbour's pattern, rising.
        spans: how each neighbour differs from its pattern.
        nearest: for each pattern, how many of its neighbours, the first ones, are at the smallest distance. Only these
            can outdo: the lists reach to two distances at most.
    """
    starts = np.searchsorted(rows, np.arange(len(nearest)))
    outdone = np.zeros(len(rows), np.bool_)
    farther = np.flatnonzero(np.arange(len(rows)) >= (starts + nearest)[rows])
    here = rows[farther]
    for i in range(nearest.max()):
        nearer = spans[starts[here] + np.minimum(i, nearest[here] - 1)]
        outdone[farther] |= (nearer & ~spans[farther]) == 0
    return outdone
