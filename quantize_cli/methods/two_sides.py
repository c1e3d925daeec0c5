"""Descent over the levels of a matrix whose rows' errors add: what one row gets wrong, others make up for.

What falls is tr(H_out D H_in D^T), D = W - Q, of a matrix whose outputs the loss does not take for independent, such
as those of attention's queries and keys. Rows are gone through one after the other. Tseng et al., "Model-Preserving
Adaptive Rounding", 2025, have the idea of two factors. Scales stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import BlockType
from quantize_cli.methods.grid_shape import GridShape, shape_of
from quantize_cli.methods.products import add_to_all, new_tiles
from quantize_cli.simd.compile import inner, kernel, maker
from quantize_cli.simd.lanes import Lanes, aligned_floats
from quantize_cli.simd.vector import LANES, load, store

Rows = NDArray[np.float32]
Packed = NDArray[np.uint8]

#: How often all levels are gone through.
SWEEPS = 3
#: Rows whose changes are handed on to the rows behind and before them together, a multiple of 4.
_ROWS_AT_ONCE = 32


def descend_rows(packed: Packed, block_type: BlockType, error: Rows, slope: Rows, inputs: Rows, outputs: Rows) -> None:
    """Improve the levels of all rows of a matrix.

    Args:
        packed: The packed rows, uint8[rows, row bytes], which are changed.
        block_type: A type with a grid.
        error: D, float32[rows, columns], which is changed.
        slope: H_out D H_in, float32[rows, columns], which is changed.
        inputs: H_in, float32[columns, columns].
        outputs: H_out, float32[rows, rows].
    """
    grid, shape = block_type.grid, shape_of(block_type)
    assert grid is not None
    blocks = packed.reshape(-1, block_type.block_bytes)
    count, groups = len(blocks), block_type.block_size // grid.group
    heads, levels = np.empty((count, 2), np.float32), np.empty((count, block_type.block_size), np.uint8)
    scales, lows = np.empty((count, groups), np.float32), np.empty((count, groups), np.float32)
    grid.read(blocks, heads, scales, lows, levels)
    _descend(
        levels.reshape(error.shape),
        (heads[:, :1] * scales).reshape(len(error), -1),
        (heads[:, 1:] * lows).reshape(len(error), -1),
        error,
        slope,
        inputs,
        np.pad(outputs, (0, -len(outputs) % 4)),
        shape,
        SWEEPS,
    )
    grid.write(heads, scales, lows, levels, blocks)


@kernel
def _descend(
    levels: NDArray[np.uint8],
    scales: Rows,
    lows: Rows,
    error: Rows,
    slope: Rows,
    inputs: Rows,
    outputs: Rows,
    shape: GridShape,
    sweeps: int,
) -> None:
    """Go through all rows; `outputs` is float32[padded, padded], where padded is the rows' multiple of 4."""
    rows, columns = error.shape
    tiles, padded, flat = columns // LANES, outputs.shape[0], slope.reshape(-1)
    # Lanes are columns here, and a tile has LANES columns of all rows.
    slopes, moved = new_tiles(tiles, padded), new_tiles(tiles, _ROWS_AT_ONCE)
    of_row, of_moved = aligned_floats(columns), aligned_floats(columns)
    slopes[:] = np.float32(0)
    for number in range(tiles):
        for row in range(rows):
            store(slopes[number], row * LANES, load(flat, row * columns + number * LANES))
    for _ in range(sweeps):
        for first in range(0, rows, _ROWS_AT_ONCE):
            last, end = min(first + _ROWS_AT_ONCE, rows), min(first + _ROWS_AT_ONCE, padded)
            for row in range(first, last):
                for number in range(tiles):
                    store(of_row, number * LANES, load(slopes[number], row * LANES))
                weight = outputs[row, row]
                _descend_row(levels[row], scales[row], lows[row], error[row], of_row, of_moved, inputs, weight, shape)
                for number in range(tiles):
                    store(moved[number], (row - first) * LANES, load(of_moved, number * LANES))
                add_to_all(slopes, moved, row - first, outputs, row, 1, first, end)
                for number in range(tiles):  # the row itself has heard of it column by column
                    store(slopes[number], row * LANES, load(of_row, number * LANES))
            add_to_all(slopes, moved, 0, outputs, first, last - first, 0, first)
            add_to_all(slopes, moved, 0, outputs, first, last - first, end, padded)
    for number in range(tiles):
        for row in range(rows):
            store(flat, row * columns + number * LANES, load(slopes[number], row * LANES))


@maker
def _descend_row(
    levels: NDArray[np.uint8],
    scales: Lanes,
    lows: Lanes,
    error: Lanes,
    slope: Lanes,
    moved: Lanes,
    inputs: Rows,
    weight: np.float32,
    shape: GridShape,
) -> None:
    """Go through one row, whose part of H_out is `weight`; `moved` receives its change times H_in."""
    moved[:] = np.float32(0)
    for column in range(levels.size):
        group = column // shape.group
        scale, low = scales[group], lows[group]
        if scale == np.float32(0):
            continue
        value = scale * shape.points[levels[column]] - low
        wanted = value + slope[column] / (weight * inputs[column, column])
        level = _nearest((wanted + low) / scale, shape)
        if level != levels[column]:
            change = value - (scale * shape.points[level] - low)
            levels[column] = level
            error[column] += change
            across, step = inputs[column], weight * change
            for k in range(levels.size):
                moved[k] += change * across[k]
                slope[k] += step * across[k]


@inner
def _nearest(wanted: np.float32, shape: GridShape) -> np.uint8:
    """Return the level of the nearest point."""
    if shape.middles.size == 0:
        level = np.rint(wanted - shape.points[0])
        return np.uint8(min(max(level, np.float32(0)), np.float32(shape.points.size - 1)))
    found = 0
    for middle in shape.middles:
        if wanted >= middle:
            found += 1
    return np.uint8(found)
