"""The error feedback of GPTQ on the grid of a block type: a column's error moves the columns that follow.

Method: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2022. With
H^-1 = L L^T, L lower triangular, column c's error over L[c, c], times L[k, c], is taken from each column k behind it.
Rows do not know of one another: each lane is a row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.methods.grid_shape import Fitted, GridShape, nearest_level, point_of
from quantize_cli.methods.products import add_to_all, new_tiles
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.vector import LANES, load, select, store

F = np.float32


@kernel
def feed_back(
    tiles: NDArray[np.float32], lower: NDArray[np.float32], first: int, fitted: Fitted, shape: GridShape
) -> None:
    """Choose the levels of one block of each row, and move the columns behind it.

    Args:
        tiles: Weights, float32[tiles, columns * LANES], which move.
        lower: L, float32[columns, columns].
        first: The block's first column.
        fitted: What the search has found for this block; a weight whose scale is 0 keeps the level of the search.
        shape: The grid.
    """
    last = first + shape.block
    # Columns of a large matrix are slow to read: each number is in another line of the cache.
    across = np.ascontiguousarray(lower[first:last, first:last].T)
    errors = new_tiles(tiles.shape[0], shape.block)
    for number in range(tiles.shape[0]):
        tile = tiles[number, first * LANES : last * LANES]
        heads, scales, lows = fitted.heads[number], fitted.scales[number], fitted.lows[number]
        _choose(tile, across, heads, scales, lows, fitted.levels[number], shape, errors[number])
    add_to_all(tiles, errors, 0, lower, first, shape.block, last, lower.shape[0])


@inner
def _choose(
    tile: Lanes,
    across: NDArray[np.float32],
    heads: Lanes,
    scales: Lanes,
    lows: Lanes,
    levels: Lanes,
    shape: GridShape,
    errors: Lanes,
) -> None:
    """Choose the levels of one block of a tile; `across` is the block's part of L, transposed."""
    for j in range(shape.block):
        group = j // shape.group * LANES
        scale, low = load(heads, 0) * load(scales, group), load(heads, LANES) * load(lows, group)
        value = load(tile, j * LANES)
        level = nearest_level((value + low) / scale, shape)
        level = select(scale == F(0), load(levels, j * LANES), level)
        store(levels, j * LANES, level)
        error = (scale * point_of(level, shape) - low - value) / across[j, j]
        store(errors, j * LANES, error)
        for k in range(j + 1, shape.block):
            store(tile, k * LANES, load(tile, k * LANES) + error * across[j, k])
