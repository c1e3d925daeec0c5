"""The grid of IQ1_S and IQ1_M: the 2048 patterns of eight levels 0..2 that can be stored, and their neighbours.

Method: ggml-quants.c, `iq2xs_init_impl`: a pattern that is not in the grid is replaced by one of its neighbours, the
grid points at the three smallest distances that occur, in order of the distance and then of their numbers.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.grids.points import grid_points
from quantize_cli.simd.vector import LANES

#: Levels of a pattern.
GROUP = 8
#: How many different distances from a pattern its neighbours have.
_DISTANCES = 3
#: Patterns of half a group.
_HALVES = 3 ** (GROUP // 2)


class Iq1Grid(NamedTuple):
    """Tables, flat int32. A vector of neighbours is LANES of them; each list is filled up with its first."""

    #: [3^8] by pattern, the number whose digits are the levels, the first the lowest: the number of the grid point, or
    #: -1 minus that of the list of neighbours.
    numbers: NDArray[np.int32]
    #: [2048] by grid point: bit j is set where level j is 1, bit 8 + j where it is 2.
    codes: NDArray[np.int32]
    #: [lists + 1] the number of each list's first vector.
    starts: NDArray[np.int32]
    #: [vectors * LANES] numbers of grid points.
    neighbours: NDArray[np.int32]
    #: [vectors * 16] of the vector's neighbours, bit l of word 2j tells whether level j of that in lane l is 1, word
    #: 2j + 1 whether it is 2.
    planes: NDArray[np.int32]


def _neighbours(levels: NDArray[np.uint8]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """List patterns and neighbours for each upper half of a pattern: pairs of int[n], by pattern and place."""
    digits = np.arange(_HALVES)[:, None] // 3 ** np.arange(GROUP // 2) % 3
    low, high = (((digits[:, None] - half) ** 2).sum(-1).astype(np.uint8) for half in np.split(levels, 2, axis=1))
    found = []
    for number, upper in enumerate(high):
        distances = low + upper
        bound = distances.min(axis=1, keepdims=True)
        outside = bound[:, 0] > 0
        for _ in range(_DISTANCES - 1):
            bound = np.where(distances > bound, distances, np.uint8(255)).min(axis=1, keepdims=True)
        patterns, points = np.nonzero((distances <= bound) & outside[:, None])
        order = np.argsort(patterns.astype(np.uint16) << 8 | distances[patterns, points], kind="stable")
        found.append((patterns[order] + number * _HALVES, points[order]))
    return found


@cache
def iq1_grid() -> Iq1Grid:
    """Build the grid, and find the neighbours of all patterns."""
    levels = grid_points("IQ1_S")
    bits = 1 << np.arange(GROUP)
    codes = (levels == 1) @ bits | (levels == 2) @ bits << GROUP

    found = _neighbours(levels)
    patterns = np.concatenate([pair[0] for pair in found])
    points = np.concatenate([pair[1] for pair in found])
    outside, firsts, counts = np.unique(patterns, return_index=True, return_counts=True)
    vectors = -(-counts // LANES)
    starts = np.concatenate([[0], np.cumsum(vectors)])
    neighbours = points[firsts].repeat(vectors * LANES)
    neighbours[np.arange(points.size) + (starts[:-1] * LANES - firsts).repeat(counts)] = points

    numbers = np.empty(3**GROUP, np.int32)
    numbers[levels @ 3 ** np.arange(GROUP)] = np.arange(len(levels))
    numbers[outside] = -1 - np.arange(outside.size)

    in_lanes = levels[neighbours].reshape(-1, LANES, GROUP).transpose(0, 2, 1)
    planes = np.stack([np.packbits(in_lanes == level, axis=-1, bitorder="little") for level in (1, 2)], axis=2)
    return Iq1Grid(
        numbers,
        codes.astype(np.int32),
        starts.astype(np.int32),
        neighbours.astype(np.int32),
        planes.reshape(-1).view("<i4").astype(np.int32),
    )
