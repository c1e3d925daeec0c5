"""The search for one scale per sub-block: x ~ scale * level with signed levels, for the types that store no min.

Method: ggml-quants.c, `make_qx_quants` with rmse_type 1: 19 candidate inverse scales around the one that maps the value
of the largest magnitude to the lowest level; of the weighted least-squares scales the one that explains most wins.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.rounding import nearest_ints, rounded
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    any_lane,
    clamped,
    load,
    magnitude,
    select,
    splat,
    store,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741
#: A sub-block whose largest magnitude is below this counts as zero (ggml-quants.c, GROUP_MAX_EPS).
GROUP_MAX_EPS = F(1e-15)

#: Vectors of the result of a search: the scale, and what gave the winning levels: clamp(round(INVERSE * x)). Both are 0
#: where the sub-block counts as zero; the reference then stores the lowest level. Of finite values, only there is
#: INVERSE 0. After them there is room for weight * x, and for the levels of the present candidate.
SCALE, INVERSE, _PRODUCTS = 0 * LANES, 1 * LANES, 2 * LANES
#: The largest sub-block of any type.
_LARGEST = 32
_LEVELS = _PRODUCTS + _LARGEST * LANES
FIT_SIZE = _LEVELS + _LARGEST * LANES

#: Candidate number `step` maps the value of the largest magnitude to bottom - 0.1 * step, and no other value beyond its
#: magnitude. So steps before the first of these round no value to more than the top, -bottom - 1, and steps before the
#: second none to less than the bottom.
_FIRST_CAPPED, _FIRST_RAISED = -5, 5


@inner
def first_extreme(x: Lanes, size: int) -> Floats:
    """Find the first value of the largest magnitude in each lane of `size` vectors."""
    extreme = splat(F(0))
    for i in range(0, size * LANES, LANES):
        value = load(x, i)
        extreme = select(magnitude(value) > magnitude(extreme), value, extreme)
    return extreme


@inner
def _multiply(x: Lanes, w: Lanes, fit: Lanes) -> bool:
    """Put w * x into `fit`. Tell whether an x is infinite or NaN.

    No weight of a model is; but scales, which are fitted too, may have overflowed.
    """
    total = splat(F(0))
    for i in range(0, x.size, LANES):
        value = load(x, i)
        total += value * F(0)
        store(fit, _PRODUCTS + i, load(w, i) * value)
    return any_lane(total != F(0))


@inner
def _round_levels(x: Lanes, inverse: Floats, step: int, bottom: np.float32, infinite: bool, fit: Lanes) -> None:
    """Put the levels under candidate number `step`, which is `inverse`, into `fit`."""
    top = -bottom - F(1)
    if infinite:  # NaN becomes 0, as in the reference's integer arithmetic
        for i in range(0, x.size, LANES):
            level = to_floats(nearest_ints(inverse * load(x, i)))
            store(fit, _LEVELS + i, clamped(level, bottom, top))
    elif step < _FIRST_CAPPED:
        for i in range(0, x.size, LANES):
            store(fit, _LEVELS + i, rounded(inverse * load(x, i)))
    elif step < _FIRST_RAISED:
        for i in range(0, x.size, LANES):
            level = rounded(inverse * load(x, i))
            store(fit, _LEVELS + i, select(level < top, level, top))
    else:
        for i in range(0, x.size, LANES):
            store(fit, _LEVELS + i, clamped(rounded(inverse * load(x, i)), bottom, top))


@inner
def _level_sums(w: Lanes, fit: Lanes) -> tuple[Floats, Floats]:
    """Sum w * x * l and w * l * l over each lane's levels l in `fit`.

    Rounding has a loop of its own: one that did it all would need more vectors than AVX2 has registers.
    """
    sum_lx = splat(F(0))
    sum_l2 = splat(F(0))
    for i in range(0, w.size, LANES):
        level = load(fit, _LEVELS + i)
        sum_lx += load(fit, _PRODUCTS + i) * level
        sum_l2 += load(w, i) * level * level
    return sum_lx, sum_l2


@inner
def search_symmetric(x: Lanes, w: Lanes, bottom: np.float32, fit: Lanes) -> None:
    """Find every lane's scale.

    Args:
        x: the sub-blocks' values, flat float32[size * LANES]; infinite ones and NaN are taken as the reference does.
        w: weights of the squared errors, same layout.
        bottom: the lowest level, below 0; the highest is -bottom - 1.
        fit: receives the result, float32[FIT_SIZE].
    """
    extreme = first_extreme(x, x.size // LANES)
    infinite = _multiply(x, w, fit)
    inverse = scale = best = splat(F(0))
    for number in range(-10, 9):
        first = number == -10  # the middle one, which sets the mark
        step = 0 if first else number if number < 0 else number + 1
        candidate = -(F(0.1) * F(step) - bottom) / extreme
        _round_levels(x, candidate, step, bottom, infinite, fit)
        sum_lx, sum_l2 = _level_sums(w, fit)
        found = sum_lx / sum_l2
        if first:
            scale = select(sum_l2 != F(0), found, F(0))
            best = scale * sum_lx
            inverse = candidate
        else:
            better = (sum_l2 > F(0)) & (sum_lx * sum_lx > best * sum_l2)
            scale = select(better, found, scale)
            best = select(better, scale * sum_lx, best)
            inverse = select(better, candidate, inverse)
    zero = magnitude(extreme) < GROUP_MAX_EPS
    store(fit, SCALE, select(zero, F(0), scale))
    store(fit, INVERSE, select(zero, F(0), inverse))


@inner
def levels_from_zero(value: Floats, bottom: np.int32) -> Ints:
    """Round scaled values to levels bottom..-bottom - 1, counted from 0."""
    return clamped(nearest_ints(value) - bottom, I(0), I(-1 - 2 * bottom))


@inner
def searched_levels(values: Floats, inverse: Floats, bottom: np.int32) -> Ints:
    """Compute the winning levels of a search, counted from 0, under its INVERSE; where that is 0 all are the lowest."""
    levels: Ints = select(inverse == F(0), I(0), levels_from_zero(inverse * values, bottom))
    return levels
