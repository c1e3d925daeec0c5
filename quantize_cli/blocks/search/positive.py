"""Levels 0..top for the scales (or mins) of a super-block, fitted by their weights: what importance changes in K types.

Method: ggml-quants.c, `make_qp_quants`. Of nine inverse scales the one with the smallest weighted error wins. Then one
level at a time is changed while the least-squares scale explains more, in at most five rounds.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.rounding import nearest_ints
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    any_lane,
    load,
    nowhere,
    select,
    splat,
    store,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741
ROUNDS = 5
#: Values whose maximum is below this count as zero (ggml-quants.c, GROUP_MAX_EPS).
GROUP_MAX_EPS = F(1e-15)


@inner
def _capped(value: Floats, top: np.int32) -> Ints:
    level = nearest_ints(value)
    capped: Ints = select(level < top, level, top)
    return capped


@inner
def _error(x: Lanes, w: Lanes, inverse: Floats, top: np.int32) -> Floats:
    scale = F(1) / inverse
    error = splat(F(0))
    for i in range(0, x.size, LANES):
        value = load(x, i)
        difference = value - scale * to_floats(_capped(inverse * value, top))
        error += load(w, i) * difference * difference
    return error


@inner
def fit_positive(x: Lanes, w: Lanes, top: np.int32, levels: Lanes) -> Floats:
    """Fit x ~ scale * level in every lane; return the scales, float32[LANES].

    Args:
        x: values, none of which is far below zero, flat float32[n * LANES].
        w: their weights, same layout.
        top: the largest level.
        levels: receives the levels, same layout; one of a value below zero wraps, as the reference's uint8.
    """
    largest = splat(F(0))
    for i in range(0, x.size, LANES):
        value = load(x, i)
        largest = select(largest > value, largest, value)
    zero = largest < GROUP_MAX_EPS
    inverse = F(top) / largest
    # The first candidate's levels are not capped; they wrap.
    scale = F(1) / inverse
    best = splat(F(0))
    for i in range(0, x.size, LANES):
        value = load(x, i)
        difference = value - scale * to_floats(nearest_ints(inverse * value) & I(255))
        best += load(w, i) * difference * difference
    for step in range(-4, 5):
        if step != 0:
            candidate = (F(0.1) * F(step) + F(top)) / largest
            error = _error(x, w, candidate, top)
            better = error < best
            best = select(better, error, best)
            inverse = select(better, candidate, inverse)

    sum_lx = splat(F(0))
    sum_l2 = splat(F(0))
    for i in range(0, x.size, LANES):
        value = load(x, i)
        weight = load(w, i)
        whole = _capped(inverse * value, top)
        level = to_floats(whole)
        sum_lx += weight * value * level
        sum_l2 += weight * level * level
        store(levels, i, to_floats(whole & I(255)))
    for _ in range(ROUNDS):
        changed = nowhere()
        for i in range(0, x.size, LANES):
            value = load(x, i)
            weight = load(w, i)
            level = load(levels, i)
            rest_lx = sum_lx - weight * value * level
            rest_l2 = sum_l2 - weight * level * level
            whole = _capped(value * rest_l2 / rest_lx, top)  # type: ignore[arg-type]  # float32, unlike the stubs say
            other = to_floats(whole)
            new_lx = rest_lx + weight * value * other
            new_l2 = rest_l2 + weight * other * other
            better = (rest_lx > F(0)) & (rest_l2 > F(0)) & (other != level)
            better = better & (new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2)
            store(levels, i, select(better, to_floats(whole & I(255)), level))
            sum_lx = select(better, new_lx, sum_lx)
            sum_l2 = select(better, new_l2, sum_l2)
            changed = changed | better
        if not any_lane(changed):
            break
    for i in range(0, x.size, LANES):
        store(levels, i, select(zero, F(0), load(levels, i)))
    found: Floats = select(zero, F(0), select(sum_l2 > F(0), sum_lx / sum_l2, F(0)))
    return found
