"""Measuring packed rows against their source: decoded piece by piece, and measured while a piece is in the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.measure.accumulate import accumulate
from quantize_cli.measure.sums_of_rows import TOTALS, add_columns, take_totals
from quantize_cli.simd.compile import is_part, kernel
from quantize_cli.simd.lanes import aligned_floats

#: Weights of a row that are decoded at a time, 8 KiB: the piece stays in a core's first cache. A multiple of BLOCK and
#: of every type's blocks.
PIECE = 2048
#: Weights that are decoded at a time where decoding cannot be a part of the kernel that measures.
TILE = 1 << 15

Rows: TypeAlias = NDArray[np.float32]
Blocks: TypeAlias = NDArray[np.uint8]
Unpack: TypeAlias = Callable[[Blocks, Rows], None]


def measure(unpack: Unpack, blocks: Blocks, x: Rows, importance: NDArray[np.float32] | None, out: Any) -> None:
    """Write the sums of `accumulate` for rows x against what `unpack` makes of their blocks.

    Args:
        unpack: decodes blocks uint8[n, bytes] to float32[n, weights of a block].
        blocks: those of the rows one behind another, uint8[n, bytes].
        x: source rows, float32[rows, k], C-contiguous.
        importance: w, float32[k], if there is any.
        out: receives the figures, float64[rows, SUMS].
    """
    if is_part(unpack):
        _measuring(unpack)(blocks, x, importance, out)
        return
    rows, columns = x.shape
    of_row = len(blocks) // rows
    step = max(1, TILE // columns)
    for start in range(0, rows, step):
        tile = x[start : start + step]
        decoded = np.empty_like(tile)
        unpack(blocks[start * of_row : (start + len(tile)) * of_row], decoded.reshape(len(tile) * of_row, -1))
        accumulate(tile, decoded, importance, out[start : start + step])


@cache
def _measuring(unpack: Unpack) -> Callable[..., None]:
    """Make the kernel that decodes and measures."""

    @kernel
    def decode_and_measure(
        blocks: Blocks, x: Rows, importance: NDArray[np.float32] | None, out: NDArray[np.float64]
    ) -> None:
        rows, columns = x.shape
        of_row = blocks.shape[0] // rows
        size = columns // of_row
        together = min(of_row, PIECE // size)
        piece = aligned_floats(together * size)
        decoded = piece.reshape(together, size)
        totals = np.zeros(TOTALS)
        for row in range(rows):
            for first in range(0, of_row, together):
                count = min(together, of_row - first)
                start = row * of_row + first
                unpack(blocks[start : start + count], decoded[:count])
                add_columns(x[row], first * size, piece, importance, first * size, count * size, totals)
            take_totals(totals, out[row])

    return decode_and_measure
