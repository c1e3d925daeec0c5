"""The grids of the IQ2 types: the patterns of eight levels 0..2 that can be stored, and their neighbours.

A pattern packs the levels of a group of eight weights, two bits each, the first in the lowest. A type keeps a list of
patterns, its grid, and stores a group as a number in that list. A pattern that the grid lacks is replaced by one of its
neighbours: the patterns of the grid at the smallest distances from it.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.grids.points import grid_points

_BITS = 2
#: Type -> how many of the smallest distances from a pattern count as near.
_SHELLS = {"IQ2_XXS": 2, "IQ2_XS": 2, "IQ2_S": 1}


class Iq2Grid(NamedTuple):
    """A grid as kernels read it."""

    #: int32[every pattern]: the number of a pattern of the grid; for any other -1 - p, where `neighbours[p]` is the
    #: number of its neighbours and they follow.
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
    top, size = int(levels.max()), levels.shape[1]
    shifts = _BITS * np.arange(size)
    points = (levels.astype(np.int32) << shifts).sum(axis=1, dtype=np.int32)
    places = np.full(1 << _BITS * size, -1, np.int32)
    places[points] = np.arange(len(points))
    every = np.arange(places.size)[:, None] >> shifts & (1 << _BITS) - 1
    off = np.flatnonzero((places < 0) & (every <= top).all(axis=1))

    # Small integers, which float32 holds exactly and multiplies fast.
    here, there = every[off].astype(np.float32), levels.astype(np.float32)
    distances = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1) - 2 * here @ there.T
    reach = distances.min(axis=1, keepdims=True)
    for _ in range(_SHELLS[name] - 1):
        reach = np.where(distances > reach, distances, np.inf).min(axis=1, keepdims=True)
    rows, columns = np.nonzero(distances <= reach)
    order = np.lexsort((columns, distances[rows, columns], rows))

    counts = np.bincount(rows, minlength=len(off))
    starts = np.arange(len(off)) + np.cumsum(counts) - counts
    neighbours = np.empty(len(off) + len(rows), np.uint16)
    neighbours[starts] = counts
    neighbours[np.arange(len(rows)) + rows + 1] = points[columns[order]]
    places[off] = -1 - starts
    return Iq2Grid(places, neighbours, points)
