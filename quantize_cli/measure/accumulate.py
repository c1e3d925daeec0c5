"""The kernel that measures rows against what their packed bytes decode to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.measure.sums import MAX_D, SUM_D2, SUM_WD2, SUM_WX2, SUM_X2, SUM_XY, SUM_Y2, SUMS
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.vector import LANES, load, load_doubles, select, store_doubles, widened


@inner
def _add(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    importance: NDArray[np.float32] | None,
    start: int,
    lanes: NDArray[np.float64],
) -> None:
    """Add LANES columns to the lanes' sums."""
    a = widened(load(x, start))
    b = widened(load(y, start))
    d = a - b
    square = d * d
    store_doubles(lanes, SUM_X2 * LANES, load_doubles(lanes, SUM_X2 * LANES) + a * a)
    store_doubles(lanes, SUM_Y2 * LANES, load_doubles(lanes, SUM_Y2 * LANES) + b * b)
    store_doubles(lanes, SUM_XY * LANES, load_doubles(lanes, SUM_XY * LANES) + a * b)
    store_doubles(lanes, SUM_D2 * LANES, load_doubles(lanes, SUM_D2 * LANES) + square)
    if importance is not None:
        w = widened(load(importance, start))
        store_doubles(lanes, SUM_WX2 * LANES, load_doubles(lanes, SUM_WX2 * LANES) + w * (a * a))
        store_doubles(lanes, SUM_WD2 * LANES, load_doubles(lanes, SUM_WD2 * LANES) + w * square)
    distance = select(d < 0.0, 0.0 - d, d)
    largest = load_doubles(lanes, MAX_D * LANES)
    store_doubles(lanes, MAX_D * LANES, select(distance > largest, distance, largest))


@kernel
def accumulate(
    x: NDArray[np.float32], y: NDArray[np.float32], importance: NDArray[np.float32] | None, sums: NDArray[np.float64]
) -> None:
    """Write every row's sum x^2, sum y^2, sum xy, sum d^2, sum w x^2, sum w d^2 and max |d|, where d = x - y.

    Column j is added to lane j % LANES, in ascending j; then the lanes are added, in ascending order. All products of
    two float32 are exact in float64, and the square of a finite one cannot overflow: sum x^2 is finite exactly where
    the row of x is.

    Args:
        x: source rows, float32[n, k], C-contiguous.
        y: decoded rows, float32[n, k], C-contiguous.
        importance: w, float32[k]; without it the two weighted sums are 0.
        sums: receives the figures, float64[n, SUMS].
    """
    rows, columns = x.shape
    lanes = np.empty(SUMS * LANES)
    # The last, incomplete group of columns is padded with zeros, which add nothing to any sum.
    tail = columns % LANES
    tail_x = np.zeros(LANES, np.float32)
    tail_y = np.zeros(LANES, np.float32)
    tail_w = np.zeros(LANES, np.float32)
    whole = columns - tail
    if importance is not None:
        for i in range(tail):
            tail_w[i] = importance[whole + i]
    for row in range(rows):
        row_x, row_y = x[row], y[row]
        for i in range(SUMS * LANES):
            lanes[i] = 0.0
        for start in range(0, whole, LANES):
            _add(row_x, row_y, importance, start, lanes)
        if tail > 0:
            for i in range(tail):
                tail_x[i] = row_x[whole + i]
                tail_y[i] = row_y[whole + i]
            if importance is None:
                _add(tail_x, tail_y, None, 0, lanes)
            else:
                _add(tail_x, tail_y, tail_w, 0, lanes)
        for column in range(SUMS):
            total = lanes[column * LANES]
            for lane in range(1, LANES):
                value = lanes[column * LANES + lane]
                total = max(total, value) if column == MAX_D else total + value
            sums[row, column] = total
