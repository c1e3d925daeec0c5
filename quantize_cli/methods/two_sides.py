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
from quantize_cli.simd.compile import inner, kernel

Rows = NDArray[np.float32]
Packed = NDArray[np.uint8]

#: How often all levels are gone through.
SWEEPS = 3


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
        outputs,
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
    rows, columns = error.shape
    moved = np.empty(columns, np.float32)
    for _ in range(sweeps):
        for row in range(rows):
            moved[:] = np.float32(0)
            changed = False
            weight = outputs[row, row]
            of_row = slope[row]
            for column in range(columns):
                group = column // shape.group
                scale, low = scales[row, group], lows[row, group]
                if scale == np.float32(0):
                    continue
                value = scale * shape.points[levels[row, column]] - low
                wanted = value + of_row[column] / (weight * inputs[column, column])
                level = _nearest((wanted + low) / scale, shape)
                if level != levels[row, column]:
                    change = value - (scale * shape.points[level] - low)
                    levels[row, column] = level
                    error[row, column] += change
                    changed = True
                    across = inputs[column]
                    step = weight * change
                    for k in range(columns):
                        moved[k] += change * across[k]
                        of_row[k] += step * across[k]
            if changed:
                for other in range(rows):
                    if other != row:
                        share, of_other = outputs[other, row], slope[other]
                        for k in range(columns):
                            of_other[k] += share * moved[k]


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
