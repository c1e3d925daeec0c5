"""How far the decoded weights are from the source's: mergeable sums for every row, reduced once to a TensorError.

A row's sums depend on nothing but that row and are taken in a fixed order (see `accumulate`); a tensor's error is
reduced from the complete table of its rows. Hence slabs and threads never change a digit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quantize_cli.report.model import TensorError, WeightedError
from quantize_cli.simd.compile import kernel
from quantize_cli.simd.vector import LANES, load, load_doubles, select, store_doubles, widened

#: Columns of a table of sums, f64[n, SUMS]: x is the source, y what a reader of the file decodes, d their difference,
#: w the importance of a column, where there is one.
SUM_X2, SUM_Y2, SUM_XY, SUM_D2, SUM_WX2, SUM_WD2, MAX_D = range(7)
SUMS = 7


@kernel
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
    the row of x is, so that the check for NaN and infinity needs no pass of its own (`first_nonfinite`).

    Args:
        x: source rows, f32[n, k], C-contiguous.
        y: decoded rows, f32[n, k], C-contiguous.
        importance: w, f32[k], or None: then the two weighted sums are 0.
        sums: receives the figures, f64[n, SUMS].
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


def first_nonfinite(x: NDArray[np.float32], sums: NDArray[np.float64]) -> int | None:
    """Flat index of the first NaN or infinity in `x`, or None.

    Args:
        x: source rows, f32[n, k].
        sums: what `accumulate` wrote for them, f64[n, SUMS]; only a row with a bad sum is searched.
    """
    bad_rows = np.flatnonzero(~np.isfinite(sums[:, SUM_X2]))
    if bad_rows.size == 0:
        return None
    row = int(bad_rows[0])
    return row * int(x.shape[1]) + int(np.argmin(np.isfinite(x[row])))


def merge(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of several rows as those of one, f64[n, SUMS] -> f64[SUMS], n >= 1.

    A tensor is merged from its rows, a type or a whole file from its tensors.
    """
    with np.errstate(invalid="ignore"):  # inf - inf, where decoded values overflowed
        merged = np.ascontiguousarray(sums.T).sum(axis=1)
    merged[MAX_D] = sums[:, MAX_D].max()
    return np.asarray(merged, dtype=np.float64)


def weighted_error(sums: NDArray[np.float64]) -> WeightedError | None:
    """The error with every column counted by its importance, from the sums of rows or tensors, f64[n, SUMS].

    None where nothing was weighted: without importance, or where it counts only columns of zeros.
    """
    merged = merge(sums)
    x2, d2 = float(merged[SUM_WX2]), float(merged[SUM_WD2])
    if not x2:
        return None
    if not math.isfinite(d2):
        return WeightedError(math.inf, -math.inf)
    return WeightedError(math.sqrt(d2 / x2), 10 * math.log10(x2 / d2) if d2 else None)


def error_from_sums(sums: NDArray[np.float64], weights: int) -> TensorError:
    """The error of `weights` >= 1 weights from the sums of their rows (or of their tensors), f64[n, SUMS].

    Where a decoded value is not finite (a weight beyond float16's range), the error is infinite: SQNR is minus infinity
    and the cosine has no value.
    """
    x2, y2, xy, d2, _, _, largest = merge(sums).tolist()
    if not math.isfinite(d2):
        return TensorError(math.inf, math.inf, -math.inf, math.inf, None)
    return TensorError(
        rmse=math.sqrt(d2 / weights),
        relative_rmse=math.sqrt(d2 / x2) if x2 else None,
        sqnr_db=10 * math.log10(x2 / d2) if x2 and d2 else None,
        max_abs_error=largest,
        cosine_similarity=min(1.0, max(-1.0, xy / math.sqrt(x2 * y2))) if x2 and y2 else None,
    )
