"""The search for a scale and a minimum per sub-block: x ~ scale * level + min, shared by the types that store both.

Method: ggml-quants.c, `make_qkx2_quants` and `make_qkx3_quants`, which differ in their constants only: for a row of
candidate inverse scales, round to levels, solve the weighted least squares for (scale, min), and keep the pair with the
smallest weighted error. Every sum is in element order in float32; the minimum of the best pair so far feeds the next
candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.rounding import nearest_ints
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    any_lane,
    clamped,
    load,
    magnitude,
    nearest,
    select,
    splat,
    store,
    to_floats,
)

F = np.float32


class AffineSearch(NamedTuple):
    """The constants of a type's search."""

    size: int  #: elements of a sub-block
    top: np.float32  #: the largest level
    first: np.float32  #: candidate i has the inverse scale (first + step * i + top) / (max - min)
    step: np.float32
    steps: int  #: number of candidates
    absolute: bool  #: weighted absolute instead of squared errors


#: Vectors of the result of a search: the scale, the minimum, and what gave the winning levels:
#: clamp(round(INVERSE * (x - ORIGIN))). After them there is room for the levels of the present candidate.
SCALE, MIN, INVERSE, ORIGIN, _LEVELS = (row * LANES for row in range(5))
#: The largest sub-block of any type.
_LARGEST = 32
FIT_SIZE = _LEVELS + _LARGEST * LANES

#: From here on `nearest_int`, a trick with the mantissa's bits, is not rounding any more.
_LAST_ROUNDED = F(2**22)
#: Ways to round: the trick; rounding that is capped; and rounding of what cannot be above the largest level.
_WILD, _CAPPED, _BELOW_TOP = range(3)
#: Rounded to -0, which counts as 0 in every sum. x86 has an instruction for the maximum with it; LLVM takes two for 0.
_ALMOST_0 = F(-0.25)


@inner
def _usable(inverse: Floats) -> Floats:
    """Replace an infinite inverse by 0, for level 0 everywhere: the reference rounds infinity to a negative number."""
    usable: Floats = select(magnitude(inverse) < F(np.inf), inverse, F(0))
    return usable


@inner
def _round_levels(x: Lanes, inverse: Floats, low: Floats, top: np.float32, way: int, fit: Lanes) -> None:
    """Put the levels under `inverse` and `low` into `fit`; NaN becomes 0, as in the reference's integer arithmetic.

    They are kept for the sums and for the error: rounding twice takes longer than the way through the cache. And a loop
    that does it all needs more vectors than AVX2 has registers.
    """
    if way == _WILD:
        for i in range(0, x.size, LANES):
            level = to_floats(nearest_ints(inverse * (load(x, i) - low)))
            store(fit, _LEVELS + i, clamped(level, F(0), top))
    elif way == _CAPPED:
        for i in range(0, x.size, LANES):
            store(fit, _LEVELS + i, nearest(clamped(inverse * (load(x, i) - low), _ALMOST_0, top)))
    else:
        for i in range(0, x.size, LANES):
            value = inverse * (load(x, i) - low)
            store(fit, _LEVELS + i, nearest(select(value > _ALMOST_0, value, _ALMOST_0)))


@inner
def _error(x: Lanes, w: Lanes, fit: Lanes, scale: Floats, low: Floats, search: AffineSearch) -> Floats:
    """Sum the weighted errors of the levels in `fit`, decoded with `scale` and `low`."""
    error = splat(F(0))
    for i in range(0, search.size * LANES, LANES):
        value = load(x, i)
        difference = scale * load(fit, _LEVELS + i) + low - value
        distance = magnitude(difference) if search.absolute else difference * difference
        error += load(w, i) * distance
    return error


@inner
def search_affine(x: Lanes, w: Lanes, search: AffineSearch, fit: Lanes) -> None:
    """Find every lane's scale and minimum.

    Args:
        x: the sub-blocks' values, flat float32[size * LANES].
        w: weights of the errors, same layout.
        search: the type's constants.
        fit: receives the result, float32[FIT_SIZE].
    """
    low = load(x, 0)
    high = low
    sum_w = load(w, 0)
    sum_x = sum_w * low
    for i in range(LANES, search.size * LANES, LANES):
        value = load(x, i)
        weight = load(w, i)
        low = select(value < low, value, low)
        high = select(value > high, value, high)
        sum_w += weight
        sum_x += weight * value
    bottom = low
    low = select(low > F(0), F(0), low)
    constant = high == low  # such a sub-block has scale 0, and no candidate may win

    scale = best = best_inverse = origin = splat(F(0))
    for step in range(-1, search.steps):
        first = step < 0  # from minimum to maximum, which sets the mark
        candidate = search.top if first else search.first + search.step * F(step) + search.top
        inverse = candidate / (high - low)
        new_scale, new_low = F(1) / inverse, low
        inverse = _usable(inverse)
        # The minimum of the best pair may lie anywhere, even so near to the maximum that the levels explode, or above.
        above, below = magnitude(inverse * (high - low)), magnitude(inverse * (low - bottom))
        wild = any_lane((above >= _LAST_ROUNDED) | (below >= _LAST_ROUNDED))
        capped = candidate > search.top + F(0.49) or any_lane(high < low)
        _round_levels(x, inverse, low, search.top, _WILD if wild else _CAPPED if capped else _BELOW_TOP, fit)
        determinant = splat(F(1))
        if not first:
            sum_l = splat(F(0))
            sum_l2 = splat(F(0))
            sum_xl = splat(F(0))
            for i in range(0, search.size * LANES, LANES):
                value = load(x, i)
                level = load(fit, _LEVELS + i)
                weighted = load(w, i) * level
                sum_l += weighted
                sum_l2 += weighted * level
                sum_xl += weighted * value
            determinant = sum_w * sum_l2 - sum_l * sum_l
            new_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
            new_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
            positive = new_low > F(0)
            new_scale = select(positive, sum_xl / sum_l2, new_scale)
            new_low = select(positive, F(0), new_low)
        error = _error(x, w, fit, new_scale, new_low, search)
        if first:
            best = select(constant, F(-1), error)
            scale = select(constant, F(0), new_scale)
            best_inverse = select(constant, F(0), inverse)
            origin = low
        else:
            better = (determinant > F(0)) & (error < best)
            best = select(better, error, best)
            scale = select(better, new_scale, scale)
            best_inverse = select(better, inverse, best_inverse)
            origin = select(better, low, origin)
            low = select(better, new_low, low)
    store(fit, SCALE, scale)
    store(fit, MIN, low)
    store(fit, INVERSE, best_inverse)
    store(fit, ORIGIN, origin)
