"""The kernel that measures rows against what was decoded from their packed bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.measure.sums_of_rows import BLOCK, TOTALS, add_columns, take_totals
from quantize_cli.simd.compile import kernel
from quantize_cli.simd.vector import SUMMED


@kernel
def accumulate(
    x: NDArray[np.float32], y: NDArray[np.float32], importance: NDArray[np.float32] | None, sums: NDArray[np.float64]
) -> None:
    """Write every row's sum x^2, sum y^2, sum d^2, sum w x^2, sum w d^2 and max |d|, where d = x - y.

    The order is that of sums_of_rows.py. The sum of x^2 is finite exactly where the row of x is.

    Args:
        x: source rows, float32[n, k], C-contiguous.
        y: decoded rows, float32[n, k], C-contiguous.
        importance: w, float32[k]; without it the two weighted sums are 0.
        sums: receives the figures, float64[n, SUMS].
    """
    rows, columns = x.shape
    totals = np.zeros(TOTALS)
    # The last, incomplete group of columns is padded with zeros, which add nothing to any sum.
    whole = columns // BLOCK * BLOCK
    tail = columns - whole
    padded = (tail + SUMMED - 1) // SUMMED * SUMMED
    tail_x, tail_y, tail_w = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32)
    if importance is not None:
        for i in range(tail):
            tail_w[i] = importance[whole + i]
    for row in range(rows):
        row_x, row_y = x[row], y[row]
        add_columns(row_x, 0, row_y, importance, 0, whole, totals)
        if tail > 0:
            for i in range(tail):
                tail_x[i] = row_x[whole + i]
                tail_y[i] = row_y[whole + i]
            add_columns(tail_x, 0, tail_y, None if importance is None else tail_w, 0, padded, totals)
        take_totals(totals, sums[row])
