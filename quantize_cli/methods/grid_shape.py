"""What kernels know of a type's grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import BlockType
from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import Floats, clamped, gather, nearest, select, splat, to_ints

F = np.float32


class GridShape(NamedTuple):
    """A grid as numbers that a kernel takes."""

    points: NDArray[np.float32]
    middles: NDArray[np.float32]  #: between neighbouring points; none where points are whole numbers in a row
    block: int  #: weights of a block
    group: int  #: weights that share a scale and a low
    least_scale: np.float32
    largest_scale: np.float32
    least_low: np.float32
    largest_low: np.float32


class Fitted(NamedTuple):
    """Blocks of some rows of weights, taken apart; each row of an array is a tile of LANES such rows.

    Arrays have the blocks of one place in these rows, or all of them.
    """

    heads: NDArray[np.float32]  #: float32[tiles, blocks * 2 * LANES]: d and dmin of each block
    scales: NDArray[np.float32]  #: float32[tiles, groups * LANES]
    lows: NDArray[np.float32]  #: the same shape
    levels: NDArray[np.float32]  #: float32[tiles, columns * LANES]


def shape_of(block_type: BlockType) -> GridShape:
    """Return what kernels know of a type that has a grid."""
    grid = block_type.grid
    assert grid is not None
    points = np.array(grid.points, np.float32)
    in_a_row = bool((np.diff(points) == 1).all())
    middles = np.empty(0, np.float32) if in_a_row else (points[1:] + points[:-1]) / np.float32(2)
    return GridShape(
        points, middles, block_type.block_size, grid.group, *map(np.float32, grid.scales), *map(np.float32, grid.lows)
    )


@inner
def nearest_level(wanted: Floats, shape: GridShape) -> Floats:
    """Return the level of the point that is nearest to what is wanted in each lane."""
    if shape.middles.size == 0:
        return clamped(nearest(wanted - shape.points[0]), F(0), F(shape.points.size - 1))
    level = splat(F(0))
    for i in range(shape.middles.size):
        level += select(wanted < shape.middles[i], splat(F(0)), F(1))
    return level


@inner
def point_of(level: Floats, shape: GridShape) -> Floats:
    """Return the point of a level in each lane."""
    if shape.middles.size == 0:
        in_a_row: Floats = level + shape.points[0]
        return in_a_row
    return gather(shape.points, to_ints(level))
