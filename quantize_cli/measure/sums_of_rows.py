"""How sums of a row's columns are taken: float32 in a block, float64 over all blocks, always in the same order.

Column j belongs to lane j % SUMMED. In a block of 256 columns a lane sums up 16 squares in float32; then the lane's sum
goes to its total in float64. At the end of the row the totals of the lanes are added, in ascending order. So a figure
depends on nothing but the row. Sixteen squares in float32 sum up to within a millionth; over a tensor these errors have
either sign and cancel out.

Squares of very small and very large values leave float32's range. A block whose sums are not well within it, or are not
numbers, is summed in float64: all products of two float32 are exact there, and none overflows.

Tried: everything in float64, which takes twice as long with AVX2, because half as many values fit a register and each
has to be converted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.measure.sums import MAX_D, SUM_D2, SUM_WD2, SUM_WX2, SUM_X2, SUM_Y2, SUMS
from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import (
    SUMMED,
    Doubles,
    any_lane,
    load_doubles,
    load_summed,
    magnitude,
    select,
    splat_summed,
    store_doubles,
    wide_magnitude,
    widened,
)

F = np.float32
Values = NDArray[np.float32]
#: Totals of the lanes, float64[TOTALS].
Totals = NDArray[np.float64]

TOTALS = SUMS * SUMMED
BLOCK = 256
#: Some lane's sum of x^2 must be above the first, and one of d^2 above the second, unless all d are 0. Then what falls
#: below float32's range is less than 10^-10 of the sum. No sum may be above the third.
_LEAST_X2, _LEAST_D2, _MOST = F(1e-20), F(1e-25), F(1e30)


@inner
def _add_block(x2: Doubles, y2: Doubles, d2: Doubles, largest: Doubles, totals: Totals) -> None:
    """Add what the lanes have of a block to the totals."""
    store_doubles(totals, SUM_X2 * SUMMED, load_doubles(totals, SUM_X2 * SUMMED) + x2)
    store_doubles(totals, SUM_Y2 * SUMMED, load_doubles(totals, SUM_Y2 * SUMMED) + y2)
    store_doubles(totals, SUM_D2 * SUMMED, load_doubles(totals, SUM_D2 * SUMMED) + d2)
    farthest = load_doubles(totals, MAX_D * SUMMED)
    store_doubles(totals, MAX_D * SUMMED, select(largest > farthest, largest, farthest))


@inner
def _add_in_float32(x: Values, x_start: int, y: Values, y_start: int, size: int, totals: Totals) -> bool:
    """Add a block to the totals; tell whether that was possible, else nothing is changed."""
    x2 = y2 = d2 = largest = splat_summed(F(0))
    for i in range(0, size, SUMMED):
        a, b = load_summed(x, x_start + i), load_summed(y, y_start + i)
        d = a - b
        x2 = x2 + a * a
        y2 = y2 + b * b
        d2 = d2 + d * d
        distance = magnitude(d)
        largest = select(distance > largest, distance, largest)
    least_x2, least_d2, most = splat_summed(_LEAST_X2), splat_summed(_LEAST_D2), splat_summed(_MOST)
    if not any_lane(x2 > least_x2) or any_lane((x2 > most) | (y2 > most) | (d2 > most)):
        return False
    if not any_lane(d2 > least_d2) and any_lane(largest > splat_summed(F(0))):
        return False
    _add_block(widened(x2), widened(y2), widened(d2), widened(largest), totals)
    return True


@inner
def _add_in_float64(x: Values, x_start: int, y: Values, y_start: int, size: int, totals: Totals) -> None:
    """Add a block to the totals."""
    x2 = y2 = d2 = largest = widened(splat_summed(F(0)))
    for i in range(0, size, SUMMED):
        a, b = widened(load_summed(x, x_start + i)), widened(load_summed(y, y_start + i))
        d = a - b
        x2 = x2 + a * a
        y2 = y2 + b * b
        d2 = d2 + d * d
        distance = wide_magnitude(d)
        largest = select(distance > largest, distance, largest)
    _add_block(x2, y2, d2, largest, totals)


@inner
def _add_weighted_block(x2: Doubles, d2: Doubles, totals: Totals) -> None:
    """Add what the lanes have of a block to the weighted totals."""
    store_doubles(totals, SUM_WX2 * SUMMED, load_doubles(totals, SUM_WX2 * SUMMED) + x2)
    store_doubles(totals, SUM_WD2 * SUMMED, load_doubles(totals, SUM_WD2 * SUMMED) + d2)


@inner
def _add_weighted_in_float32(
    x: Values, x_start: int, y: Values, y_start: int, w: Values, w_start: int, size: int, totals: Totals
) -> bool:
    """Add a block to the weighted totals; tell whether that was possible, else nothing is changed."""
    x2 = d2 = splat_summed(F(0))
    for i in range(0, size, SUMMED):
        a, weight = load_summed(x, x_start + i), load_summed(w, w_start + i)
        d = a - load_summed(y, y_start + i)
        x2 = x2 + weight * (a * a)
        d2 = d2 + weight * (d * d)
    least_x2, least_d2, most = splat_summed(_LEAST_X2), splat_summed(_LEAST_D2), splat_summed(_MOST)
    if not any_lane(x2 > least_x2) or not any_lane(d2 > least_d2) or any_lane((x2 > most) | (d2 > most)):
        return False
    _add_weighted_block(widened(x2), widened(d2), totals)
    return True


@inner
def _add_weighted_in_float64(
    x: Values, x_start: int, y: Values, y_start: int, w: Values, w_start: int, size: int, totals: Totals
) -> None:
    """Add a block to the weighted totals."""
    x2 = d2 = widened(splat_summed(F(0)))
    for i in range(0, size, SUMMED):
        a, weight = widened(load_summed(x, x_start + i)), widened(load_summed(w, w_start + i))
        d = a - widened(load_summed(y, y_start + i))
        x2 = x2 + weight * (a * a)
        d2 = d2 + weight * (d * d)
    _add_weighted_block(x2, d2, totals)


@inner
def add_columns(
    x: Values, x_start: int, y: Values, importance: Values | None, w_start: int, size: int, totals: Totals
) -> None:
    """Add columns of a row to its totals.

    Args:
        x: the source, from `x_start` on.
        x_start: where.
        y: what was decoded, float32[size] or more.
        importance: w, from `w_start` on, if there is any.
        w_start: the number of the first column, a multiple of BLOCK.
        size: the number of columns, a multiple of SUMMED.
        totals: of the columns before; receives those with these columns.
    """
    for start in range(0, size, BLOCK):
        count = min(BLOCK, size - start)
        if not _add_in_float32(x, x_start + start, y, start, count, totals):
            _add_in_float64(x, x_start + start, y, start, count, totals)
        if importance is not None:
            places = x_start + start, start, w_start + start
            if not _add_weighted_in_float32(x, places[0], y, places[1], importance, places[2], count, totals):
                _add_weighted_in_float64(x, places[0], y, places[1], importance, places[2], count, totals)


@inner
def take_totals(totals: Totals, sums: NDArray[np.float64]) -> None:
    """Add up the lanes' totals of a row in `sums`, float64[SUMS], and clear them for the next."""
    for column in range(SUMS):
        sums[column] = totals[column * SUMMED]
        totals[column * SUMMED] = 0.0
    for lane in range(1, SUMMED):
        for column in range(SUMS):
            value = totals[column * SUMMED + lane]
            sums[column] = max(sums[column], value) if column == MAX_D else sums[column] + value
            totals[column * SUMMED + lane] = 0.0
