"""The search for a scale and a minimum per sub-block: x ~ scale * level + min, shared by Q2_K, Q4_K and Q5_K.

Method: ggml-quants.c, `make_qkx2_quants`: for a row of candidate inverse scales, round to levels, solve the weighted
least squares for (scale, min), and keep the pair with the smallest weighted error. Every sum is in element order in
float32; the running minimum of the best pair so far feeds the next candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._lanes import LANES, UNROLL, Lanes

F = np.float32


class AffineSearch(NamedTuple):
    """The constants of a format's search."""

    size: int  #: elements of a sub-block
    top: np.float32  #: the largest level
    first: np.float32  #: candidate i has the inverse scale (first + step * i + top) / (max - min)
    step: np.float32
    steps: int  #: number of candidates
    absolute: bool  #: weighted absolute instead of squared errors


# Rows of the flat float32 buffer that `search_affine` works in; one buffer with constant distances between its rows
# spares LLVM the alias checks. The first two are its result.
SCALE, MIN = 0 * LANES, 1 * LANES
_INVERSE, _ORIGIN = 2 * LANES, 3 * LANES  # the winning levels are clamp(round(_INVERSE * (x - _ORIGIN)))
_BEST = 4 * LANES  # the winner's error
_NEXT = 5 * LANES  # the rows above after the candidate in hand, see `_keep_better`
_MAX, _SUM_W, _SUM_X = 10 * LANES, 11 * LANES, 12 * LANES
_TRY_INVERSE, _TRY_SCALE, _TRY_MIN, _ERROR = 13 * LANES, 14 * LANES, 15 * LANES, 16 * LANES
_SUM_L, _SUM_L2, _SUM_XL = 17 * LANES, 18 * LANES, 19 * LANES
FIT_SIZE = 20 * LANES


@kernel
def _level_of(value: np.float32, top: np.float32) -> np.float32:
    """Clamp the rounded value to 0..top; NaN becomes 0, as in the reference's integer arithmetic."""
    level = np.rint(value)
    level = level if level > F(0) else F(0)
    return level if level < top else top


@kernel
def _usable(inverse: np.float32) -> np.float32:
    """An infinite inverse scale gives level 0 everywhere: the reference's `nearest_int` makes infinity negative."""
    return inverse if abs(inverse) < F(np.inf) else F(0)


@kernel
def _statistics(x: Lanes, w: Lanes, fit: Lanes, size: int) -> None:
    """Minimum (at most 0), maximum and weighted sums of each lane."""
    for lane in range(LANES):
        fit[MIN + lane] = x[lane]
        fit[_MAX + lane] = x[lane]
        fit[_SUM_W + lane] = F(0)
        fit[_SUM_X + lane] = F(0)
    for first in range(0, size, UNROLL):
        xs = x[first * LANES : (first + UNROLL) * LANES]
        ws = w[first * LANES : (first + UNROLL) * LANES]
        for lane in range(LANES):
            low = fit[MIN + lane]
            high = fit[_MAX + lane]
            sum_w = fit[_SUM_W + lane]
            sum_x = fit[_SUM_X + lane]
            for i in range(UNROLL):
                value = xs[i * LANES + lane]
                weight = ws[i * LANES + lane]
                low = value if value < low else low
                high = value if value > high else high
                sum_w += weight
                sum_x += weight * value
            fit[MIN + lane] = low if low < F(0) else F(0)
            fit[_MAX + lane] = high
            fit[_SUM_W + lane] = sum_w
            fit[_SUM_X + lane] = sum_x


@kernel
def _level_sums(x: Lanes, w: Lanes, fit: Lanes, size: int, top: np.float32) -> None:
    """Sums of w*l, w*l*l and w*l*x over each lane's levels under _TRY_INVERSE."""
    for lane in range(LANES):
        fit[_SUM_L + lane] = F(0)
        fit[_SUM_L2 + lane] = F(0)
        fit[_SUM_XL + lane] = F(0)
    for first in range(0, size, UNROLL):
        xs = x[first * LANES : (first + UNROLL) * LANES]
        ws = w[first * LANES : (first + UNROLL) * LANES]
        for lane in range(LANES):
            inverse = fit[_TRY_INVERSE + lane]
            low = fit[MIN + lane]
            sum_l = fit[_SUM_L + lane]
            sum_l2 = fit[_SUM_L2 + lane]
            sum_xl = fit[_SUM_XL + lane]
            for i in range(UNROLL):
                value = xs[i * LANES + lane]
                level = _level_of(inverse * (value - low), top)
                weighted = ws[i * LANES + lane] * level
                sum_l += weighted
                sum_l2 += weighted * level
                sum_xl += weighted * value
            fit[_SUM_L + lane] = sum_l
            fit[_SUM_L2 + lane] = sum_l2
            fit[_SUM_XL + lane] = sum_xl


@kernel
def _solve(fit: Lanes) -> None:
    """Weighted least squares for scale and min; a singular system gets a NaN scale, whose error never wins."""
    for lane in range(LANES):
        sum_w = fit[_SUM_W + lane]
        sum_x = fit[_SUM_X + lane]
        sum_l = fit[_SUM_L + lane]
        sum_l2 = fit[_SUM_L2 + lane]
        sum_xl = fit[_SUM_XL + lane]
        determinant = sum_w * sum_l2 - sum_l * sum_l
        scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        scale = sum_xl / sum_l2 if low > F(0) else scale
        fit[_TRY_MIN + lane] = F(0) if low > F(0) else low
        fit[_TRY_SCALE + lane] = scale if determinant > F(0) else F(np.nan)


@kernel
def _errors(x: Lanes, w: Lanes, fit: Lanes, search: AffineSearch) -> None:
    """Weighted error of each lane's levels under _TRY_INVERSE with _TRY_SCALE and _TRY_MIN."""
    for lane in range(LANES):
        fit[_ERROR + lane] = F(0)
    for first in range(0, search.size, UNROLL):
        xs = x[first * LANES : (first + UNROLL) * LANES]
        ws = w[first * LANES : (first + UNROLL) * LANES]
        for lane in range(LANES):
            inverse = fit[_TRY_INVERSE + lane]
            low = fit[MIN + lane]
            scale = fit[_TRY_SCALE + lane]
            new_low = fit[_TRY_MIN + lane]
            error = fit[_ERROR + lane]
            for i in range(UNROLL):
                value = xs[i * LANES + lane]
                level = _level_of(inverse * (value - low), search.top)
                difference = scale * level + new_low - value
                distance = abs(difference) if search.absolute else difference * difference
                error += ws[i * LANES + lane] * distance
            fit[_ERROR + lane] = error


@kernel
def _keep_better(fit: Lanes) -> None:
    """Let the candidate replace the winner in the lanes where its error is smaller.

    Both sides are loaded before the choice, which is written beside the winner and copied back: otherwise LLVM makes
    masked loads and stores of it, and those took a third of the search's time on an AMD Zen 3.
    """
    for lane in range(LANES):
        error, best = fit[_ERROR + lane], fit[_BEST + lane]
        new_scale, scale = fit[_TRY_SCALE + lane], fit[SCALE + lane]
        new_inverse, inverse = fit[_TRY_INVERSE + lane], fit[_INVERSE + lane]
        new_low, low, origin = fit[_TRY_MIN + lane], fit[MIN + lane], fit[_ORIGIN + lane]
        better = error < best
        fit[_NEXT + SCALE + lane] = new_scale if better else scale
        fit[_NEXT + MIN + lane] = new_low if better else low
        fit[_NEXT + _INVERSE + lane] = new_inverse if better else inverse
        fit[_NEXT + _ORIGIN + lane] = low if better else origin
        fit[_NEXT + _BEST + lane] = error if better else best
    for i in range(_NEXT):
        fit[i] = fit[_NEXT + i]


@kernel
def search_affine(x: Lanes, w: Lanes, fit: Lanes, search: AffineSearch) -> None:
    """Find every lane's scale and minimum; results are the rows SCALE and MIN of `fit`.

    Args:
        x: values, element-major float32[size * LANES].
        w: weights of the errors, same layout.
        fit: work space, float32[FIT_SIZE].
        search: the format's constants.
    """
    _statistics(x, w, fit, search.size)
    for lane in range(LANES):
        low = fit[MIN + lane]
        inverse = search.top / (fit[_MAX + lane] - low)
        fit[_TRY_INVERSE + lane] = _usable(inverse)
        fit[_TRY_SCALE + lane] = F(1) / inverse
        fit[_TRY_MIN + lane] = low
    _errors(x, w, fit, search)
    for lane in range(LANES):
        constant = fit[_MAX + lane] == fit[MIN + lane]  # such a sub-block has scale 0, and no candidate may win
        fit[_BEST + lane] = F(-1) if constant else fit[_ERROR + lane]
        fit[SCALE + lane] = F(0) if constant else fit[_TRY_SCALE + lane]
        fit[_INVERSE + lane] = F(0) if constant else fit[_TRY_INVERSE + lane]
        fit[_ORIGIN + lane] = fit[MIN + lane]

    for i in range(search.steps):
        candidate = search.first + search.step * F(i) + search.top
        for lane in range(LANES):
            fit[_TRY_INVERSE + lane] = _usable(candidate / (fit[_MAX + lane] - fit[MIN + lane]))
        _level_sums(x, w, fit, search.size, search.top)
        _solve(fit)
        _errors(x, w, fit, search)
        _keep_better(fit)


@kernel
def searched_levels(values: Lanes, fit: Lanes, lane: int, top: np.float32, levels: NDArray[np.uint8]) -> None:
    """Levels of one sub-block's `values` under the search's own scale and minimum instead of the stored ones."""
    inverse = fit[_INVERSE + lane]
    origin = fit[_ORIGIN + lane]
    for i in range(values.size):
        levels[i] = np.uint8(_level_of(inverse * (values[i] - origin), top))
