"""Blocks of 32 with importance: what the searches of Q4_0, Q4_1, Q5_0 and Q5_1 start from.

The weight of an element's squared error is importance * sqrt(variance + x^2), where variance is the mean of x^2 over
the whole row (ggml-quants.c, `quantize_row_q4_0_impl` and those of the others).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import Blocks, Importance
from quantize_cli.blocks.legacy.levels import BLOCK
from quantize_cli.blocks.search import affine, symmetric
from quantize_cli.blocks.search.weights import weigh_importance
from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.lanes import Lanes, load_lanes, new_lanes
from quantize_cli.simd.rounding import nearest_ints
from quantize_cli.simd.vector import LANES, TILE, Floats, Ints, clamped, load, move_transposed, splat, store

F = np.float32
I = np.int32  # noqa: E741


class Work(NamedTuple):
    """Buffers for LANES blocks side by side."""

    x: Lanes  #: float32[BLOCK * LANES]
    importance: Lanes
    w: Lanes
    variance: Lanes  #: float32[LANES]
    fit: Lanes  #: the result of a search


@maker
def new_work() -> Work:
    """Allocate the buffers; their content is unknown."""
    return Work(
        new_lanes(BLOCK),
        new_lanes(BLOCK),
        new_lanes(BLOCK),
        new_lanes(1),
        new_lanes(max(affine.FIT_SIZE, symmetric.FIT_SIZE) // LANES),
    )


@inner
def _mean_square(values: Lanes) -> np.float32:
    """Compute the mean of x^2 in element order."""
    total = F(0)
    for i in range(values.size):
        total += values[i] * values[i]
    return total / F(values.size)


@inner
def _mean_squares(values: Lanes, columns: int, first: int, x: Lanes) -> Floats:
    """Compute the mean of x^2 of LANES rows, from number `first` on; the last TILE rows stand for all that are missing.

    One row is a chain of additions, each of which waits for the one before; the lanes are as many such chains.
    """
    last = values.size // columns - TILE
    total = splat(F(0))
    for column in range(0, columns, BLOCK):
        for lane in range(0, LANES, TILE):
            start = min(first + lane, last) * columns + column
            for i in range(0, BLOCK, TILE):
                move_transposed(values, start + i, columns, x, i * LANES + lane)
        for i in range(0, BLOCK * LANES, LANES):
            value = load(x, i)
            total += value * value
    return total / F(columns)


@maker
def row_variances(blocks: Blocks, count: int) -> NDArray[np.float32]:
    """Compute the mean of x^2 over each row of `count` blocks, in element order: float32[rows]."""
    values = blocks.reshape(-1)
    columns = count * BLOCK
    rows = values.size // columns
    variances = np.empty(rows, np.float32)
    if rows < TILE:
        for row in range(rows):
            variances[row] = _mean_square(values[row * columns : (row + 1) * columns])
        return variances
    x, means = new_lanes(BLOCK), new_lanes(1)
    for first in range(0, rows, LANES):
        store(means, 0, _mean_squares(values, columns, first, x))
        for lane in range(LANES):
            variances[min(first + lane - lane % TILE, rows - TILE) + lane % TILE] = means[lane]
    return variances


@inner
def load_weighted(
    blocks: Blocks, importance: Importance, variances: NDArray[np.float32], first: int, work: Work
) -> int:
    """Put blocks from number `first` on, and their weights, into lanes; return how many blocks there are."""
    count: int = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    load_lanes(importance, first, count, work.importance)
    for lane in range(count):
        work.variance[lane] = variances[(first + lane) // importance.shape[0]]
    weigh_importance(work.x, work.importance, load(work.variance, 0), work.w)
    return count


@inner
def affine_levels(x: Floats, fit: Lanes, lane: int, top: np.int32) -> Ints:
    """Compute the levels 0..top that the search found for the block in that lane."""
    levels = nearest_ints((x - fit[affine.ORIGIN + lane]) * fit[affine.INVERSE + lane])
    return clamped(levels, I(0), top)
