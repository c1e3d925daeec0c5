"""Rounding that knows a matrix's inputs: GPTQ's feedback, then coordinate descent, on the grid of a block type."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import BlockType
from quantize_cli.methods.curvature import Curvature
from quantize_cli.methods.descent import descend
from quantize_cli.methods.feedback import feed_back
from quantize_cli.methods.grid_shape import Fitted, shape_of
from quantize_cli.methods.products import new_tiles
from quantize_cli.simd.vector import LANES

Rows = NDArray[np.float32]
Packed = NDArray[np.uint8]

#: Rows that one call works on, a multiple of LANES.
ROWS_AT_ONCE = 4 * LANES
#: How often the descent goes through all coordinates. More changes the error by less than a hundredth.
SWEEPS = 4


def round_rows(rows: Rows, block_type: BlockType, curvature: Curvature) -> Packed:
    """Round rows so that D H D^T is small for each, where D is what rounding changes.

    The reference's search finds the scales of a block of columns when the columns before it have been rounded, and
    their errors handed on; GPTQ's feedback chooses the levels. Then a descent goes on from there.

    Args:
        rows: C-contiguous float32[n, columns].
        block_type: A type with a grid, whose blocks divide the columns.
        curvature: H.

    Returns:
        The packed rows, uint8[n, row bytes].
    """
    packed = np.empty((len(rows), block_type.row_bytes(rows.shape[1])), np.uint8)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = slice(start, min(start + ROWS_AT_ONCE, len(rows)))
        _round(rows[some], block_type, curvature, packed[some])
    return packed


def _round(rows: Rows, block_type: BlockType, curvature: Curvature, packed: Packed) -> None:
    grid, shape, size = block_type.grid, shape_of(block_type), block_type.block_size
    assert grid is not None
    columns, importance = rows.shape[1], curvature.importance
    tiles = -(-len(rows) // LANES)
    count, groups, blocks = tiles * LANES, size // grid.group, columns // size
    weights = _to_lanes(rows, tiles)
    moving = new_tiles(tiles, columns)
    moving[:] = weights
    fitted = Fitted(
        np.empty((tiles, blocks * 2 * LANES), np.float32),
        np.empty((tiles, blocks * groups * LANES), np.float32),
        np.empty((tiles, blocks * groups * LANES), np.float32),
        np.empty((tiles, columns * LANES), np.float32),
    )
    heads, levels = np.empty((count, 2), np.float32), np.empty((count, size), np.uint8)
    scales, lows = np.empty((count, groups), np.float32), np.empty((count, groups), np.float32)
    found = np.empty((count, block_type.block_bytes), np.uint8)
    for block in range(blocks):
        first = block * size
        part = _from_lanes(moving[:, first * LANES : (first + size) * LANES], size)
        block_type.quantize(part, found, importance[first : first + size])
        grid.read(found, heads, scales, lows, levels)
        read = Fitted(*(_to_lanes(held, tiles) for held in (heads, scales, lows, levels)))
        feed_back(moving, curvature.lower, first, read, shape)
        for place, held in zip(fitted, read, strict=True):
            width = held.shape[1]
            place[:, block * width : (block + 1) * width] = held
    descend(weights, curvature.hessian, fitted, shape, SWEEPS)
    for block in range(blocks):
        parts = [
            _from_lanes(held[:, block * width * LANES : (block + 1) * width * LANES], width)
            for held, width in zip(fitted, (2, groups, groups, size), strict=True)
        ]
        grid.write(parts[0], parts[1], parts[2], parts[3].astype(np.uint8), found)
        packed[:, block * block_type.block_bytes : (block + 1) * block_type.block_bytes] = found[: len(rows)]


def _to_lanes(values: NDArray[np.float32] | NDArray[np.uint8], tiles: int) -> Rows:
    """Put LANES rows side by side: [n, width] to float32[tiles, width * LANES]; rows that lack are zeros."""
    width = values.shape[1]
    padded = np.zeros((tiles * LANES, width), np.float32)
    padded[: len(values)] = values
    return np.ascontiguousarray(padded.reshape(tiles, LANES, width).transpose(0, 2, 1)).reshape(tiles, width * LANES)


def _from_lanes(tiles: Rows, width: int) -> Rows:
    """Return the rows of some columns of tiles, float32[tiles * LANES, width]: the reverse."""
    return np.ascontiguousarray(tiles.reshape(len(tiles), width, LANES).transpose(0, 2, 1)).reshape(-1, width)
