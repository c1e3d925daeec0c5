"""Products of a matrix with vectors of rows: where methods spend their time.

A matrix of some thousand columns does not fit into the fast caches. So a piece of it serves all tiles, one after the
other, before the next piece is read. No sum changes by that: each one has its addends in the order of the columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.lanes import Lanes, aligned_floats
from quantize_cli.simd.vector import LANES, load, store

#: Columns whose vectors stay in the first cache while rows of the matrix go by, a multiple of all block sizes.
SPAN = 256
#: Rows of a piece, a multiple of 4: few, because rows of a matrix of 2^n columns share places in a cache.
_ROWS = 32


@inner
def add_products(
    out: Lanes, inputs: Lanes, at: int, matrix: NDArray[np.float32], first: int, count: int, start: int, stop: int
) -> None:
    """Add to the vectors `start:stop` of `out` the products of a matrix with `count` vectors of `inputs` from `at` on.

    out[k] += sum over j of matrix[k, first + j] * inputs[at + j]. Four rows at a time share what they load.
    """
    for k in range(start, stop, 4):
        one, two = load(out, k * LANES), load(out, (k + 1) * LANES)
        three, four = load(out, (k + 2) * LANES), load(out, (k + 3) * LANES)
        for j in range(count):
            held = load(inputs, (at + j) * LANES)
            one += held * matrix[k, first + j]
            two += held * matrix[k + 1, first + j]
            three += held * matrix[k + 2, first + j]
            four += held * matrix[k + 3, first + j]
        store(out, k * LANES, one)
        store(out, (k + 1) * LANES, two)
        store(out, (k + 2) * LANES, three)
        store(out, (k + 3) * LANES, four)


@maker
def add_to_all(
    outs: NDArray[np.float32],
    inputs: NDArray[np.float32],
    at: int,
    matrix: NDArray[np.float32],
    first: int,
    count: int,
    start: int,
    stop: int,
) -> None:
    """Do what `add_products` does for all tiles; both are float32[tiles, vectors * LANES]."""
    for begin in range(start, stop, _ROWS):
        end = min(begin + _ROWS, stop)
        for number in range(outs.shape[0]):
            add_products(outs[number], inputs[number], at, matrix, first, count, begin, end)


@maker
def new_tiles(tiles: int, vectors: int) -> NDArray[np.float32]:
    """Allocate vectors for each tile, float32[tiles, vectors * LANES], aligned."""
    return aligned_floats(tiles * vectors * LANES).reshape(tiles, vectors * LANES)
