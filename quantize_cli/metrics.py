"""How far the decoded weights are from the source's: mergeable sums for every row, reduced once to a TensorError.

A row's sums depend on nothing but that row and are taken in a fixed order (see `accumulate`); a tensor's error is
reduced from the complete table of its rows. Hence slabs and threads never change a digit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel
from quantize_cli.report.model import TensorError

#: Columns of a table of sums, f64[n, SUMS]; x is the source and y what a reader of the file decodes.
SUM_X2, SUM_Y2, SUM_XY, SUM_D2, MAX_D = range(5)
SUMS = 5

#: Independent float64 accumulators of each sum. Without fastmath the compiler keeps a sum's order, so only lanes that
#: never meet inside the loop can fill a vector register.
LANES = 32


@kernel
def accumulate(x: NDArray[np.float32], y: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
    """Write every row's sum x^2, sum y^2, sum xy, sum (x - y)^2 and max |x - y|.

    Column j is added to lane j % LANES, in ascending j; then the lanes are added, in ascending order. All products of
    two float32 are exact in float64, and the square of a finite one cannot overflow: sum x^2 is finite exactly where
    the row of x is, so that the check for NaN and infinity needs no pass of its own (`first_nonfinite`).

    Args:
        x: source rows, f32[n, k], C-contiguous.
        y: decoded rows, f32[n, k], C-contiguous.
        sums: receives the figures, f64[n, SUMS].
    """
    rows, columns = x.shape
    lanes = np.empty((SUMS, LANES))
    # The last, incomplete group of columns is padded with zeros, which add nothing to any sum.
    tail = columns % LANES
    tail_x = np.zeros(LANES, np.float32)
    tail_y = np.zeros(LANES, np.float32)
    for row in range(rows):
        # Plain loops, here and below: assignments to slices make the compilation three times as long.
        for column in range(SUMS):
            for lane in range(LANES):
                lanes[column, lane] = 0.0
        for start in range(0, columns, LANES):
            if start + LANES <= columns:
                group_x = x[row, start : start + LANES]
                group_y = y[row, start : start + LANES]
            else:
                for lane in range(tail):
                    tail_x[lane] = x[row, start + lane]
                    tail_y[lane] = y[row, start + lane]
                group_x, group_y = tail_x, tail_y
            for lane in range(LANES):
                a = np.float64(group_x[lane])
                b = np.float64(group_y[lane])
                difference = abs(a - b)
                largest = lanes[MAX_D, lane]
                lanes[SUM_X2, lane] += a * a
                lanes[SUM_Y2, lane] += b * b
                lanes[SUM_XY, lane] += a * b
                lanes[SUM_D2, lane] += difference * difference
                lanes[MAX_D, lane] = difference if difference > largest else largest
        for column in range(SUMS):
            sums[row, column] = lanes[column, 0]
        for lane in range(1, LANES):
            for column in range(MAX_D):
                sums[row, column] += lanes[column, lane]
            sums[row, MAX_D] = max(sums[row, MAX_D], lanes[MAX_D, lane])


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


def error_from_sums(sums: NDArray[np.float64], weights: int) -> TensorError:
    """The error of `weights` >= 1 weights from the sums of their rows (or of their tensors), f64[n, SUMS].

    Where a decoded value is not finite (a weight beyond float16's range), the error is infinite: SQNR is minus infinity
    and the cosine has no value.
    """
    x2, y2, xy, d2, largest = merge(sums).tolist()
    if not math.isfinite(d2):
        return TensorError(math.inf, math.inf, -math.inf, math.inf, None)
    return TensorError(
        rmse=math.sqrt(d2 / weights),
        relative_rmse=math.sqrt(d2 / x2) if x2 else None,
        sqnr_db=10 * math.log10(x2 / d2) if x2 and d2 else None,
        max_abs_error=largest,
        cosine_similarity=min(1.0, max(-1.0, xy / math.sqrt(x2 * y2))) if x2 and y2 else None,
    )
