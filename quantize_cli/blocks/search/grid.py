"""Grids: the few patterns of levels that a group of weights may take, and which of them stand in for every other one.

A pattern packs the levels of a group's elements, element 0 in the lowest bits. A format keeps a list of patterns, its
grid, and stores a group as a number in that list. A pattern beside the grid is replaced by one of its neighbours: the
patterns of the grid at the smallest distances from it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Grid(NamedTuple):
    """A grid as kernels read it."""

    #: int32[every pattern]: the number of a pattern of the grid; for any other -1 - p, where `neighbours[p]` is the
    #: number of its neighbours and they follow.
    places: NDArray[np.int32]
    neighbours: NDArray[np.uint16]  #: counts and patterns
    patterns: NDArray[np.int32]  #: the grid in order


def build_grid(levels: NDArray[np.uint8], bits: int, shells: int) -> Grid:
    """Find the neighbours of all patterns.

    Method: ggml-quants.c, `iq2xs_init_impl` and `iq3xs_init_impl`: the points of the grid by squared distance of the
    levels, then by their number, up to and including the `shells` smallest distances that occur.

    Args:
        levels: the grid, [points, elements of a group].
        bits: bits of a level in a pattern.
        shells: how many distances count as near.
    """
    top, size = int(levels.max()), levels.shape[1]
    shifts = bits * np.arange(size)
    points = (levels.astype(np.int32) << shifts).sum(axis=1, dtype=np.int32)
    places = np.full(1 << bits * size, -1, np.int32)
    places[points] = np.arange(len(points))
    every = np.arange(places.size)[:, None] >> shifts & (1 << bits) - 1
    off = np.flatnonzero((places < 0) & (every <= top).all(axis=1))

    # Small integers, which float32 holds exactly and multiplies fast.
    here, there = every[off].astype(np.float32), levels.astype(np.float32)
    distances = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1) - 2 * here @ there.T
    reach = distances.min(axis=1, keepdims=True)
    for _ in range(shells - 1):
        reach = np.where(distances > reach, distances, np.inf).min(axis=1, keepdims=True)
    rows, columns = np.nonzero(distances <= reach)
    order = np.lexsort((columns, distances[rows, columns], rows))

    counts = np.bincount(rows, minlength=len(off))
    starts = np.arange(len(off)) + np.cumsum(counts) - counts
    neighbours = np.empty(len(off) + len(rows), np.uint16)
    neighbours[starts] = counts
    neighbours[np.arange(len(rows)) + rows + 1] = points[columns[order]]
    places[off] = -1 - starts
    return Grid(places, neighbours, points)
