"""The search for one scale per sub-block of 16: x ~ scale * level, level -32..31, used by Q6_K.

Method: ggml-quants.c, `make_qx_quants` with rmse_type 1 (weights x^2): 19 candidate inverse scales around the one that
maps the largest magnitude to -32; of the least-squares scales the one that explains most wins.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._lanes import LANES, UNROLL, Lanes

F = np.float32
SUB_BLOCK = 16
BOTTOM, TOP = -32, 31
#: A sub-block whose largest magnitude is below this counts as zero (ggml-quants.c, GROUP_MAX_EPS).
GROUP_MAX_EPS = F(1e-15)

# Rows of the work space; the first two are the result: the scale, and the inverse scale of the winning levels, which
# is 0 for a sub-block that counts as zero.
SCALE, INVERSE = 0 * LANES, 1 * LANES
_BEST = 2 * LANES
_NEXT = 3 * LANES  # the rows above after the candidate in hand; masked stores are slow, see `_affine._keep_better`
_MAX, _TRY_INVERSE, _SUM_LX, _SUM_L2 = 6 * LANES, 7 * LANES, 8 * LANES, 9 * LANES
FIT_SIZE = 10 * LANES


@kernel
def find_extreme(x: Lanes, size: int, extreme: Lanes) -> None:
    """The first value of the largest magnitude in each lane, or 0 where that magnitude is below GROUP_MAX_EPS."""
    for lane in range(LANES):
        extreme[lane] = F(0)
    for first in range(0, size, UNROLL):
        xs = x[first * LANES : (first + UNROLL) * LANES]
        for lane in range(LANES):
            held = extreme[lane]
            for i in range(UNROLL):
                value = xs[i * LANES + lane]
                held = value if abs(value) > abs(held) else held
            extreme[lane] = held
    for lane in range(LANES):
        held = extreme[lane]
        extreme[lane] = held * F(abs(held) >= GROUP_MAX_EPS)


@kernel
def signed_level(value: np.float32, bottom: np.float32, top: np.float32) -> np.float32:
    """Clamp the rounded value to bottom..top."""
    level = np.rint(value)
    level = level if level > bottom else bottom
    return level if level < top else top


@kernel
def _level_sums(x: Lanes, fit: Lanes, bottom: np.float32, top: np.float32) -> None:
    """Sums of x^2 * x * l and x^2 * l * l over each lane's levels under _TRY_INVERSE.

    The bounds are arguments because LLVM, when it knows them, turns two instructions of the clamp into five.
    """
    for lane in range(LANES):
        fit[_SUM_LX + lane] = F(0)
        fit[_SUM_L2 + lane] = F(0)
    for first in range(0, SUB_BLOCK, UNROLL):
        xs = x[first * LANES : (first + UNROLL) * LANES]
        for lane in range(LANES):
            inverse = fit[_TRY_INVERSE + lane]
            sum_lx = fit[_SUM_LX + lane]
            sum_l2 = fit[_SUM_L2 + lane]
            for i in range(UNROLL):
                value = xs[i * LANES + lane]
                level = signed_level(inverse * value, bottom, top)
                weight = value * value
                sum_lx += weight * value * level
                sum_l2 += weight * level * level
            fit[_SUM_LX + lane] = sum_lx
            fit[_SUM_L2 + lane] = sum_l2


@kernel
def search_symmetric(x: Lanes, fit: Lanes) -> None:
    """Find every lane's scale; results are the rows SCALE and INVERSE of `fit`.

    Args:
        x: values, element-major float32[16 * LANES].
        fit: work space, float32[FIT_SIZE].
    """
    find_extreme(x, SUB_BLOCK, fit[_MAX : _MAX + LANES])
    for lane in range(LANES):
        fit[_TRY_INVERSE + lane] = F(BOTTOM) / fit[_MAX + lane]
    _level_sums(x, fit, F(BOTTOM), F(TOP))
    for lane in range(LANES):
        sum_lx = fit[_SUM_LX + lane]
        sum_l2 = fit[_SUM_L2 + lane]
        scale = sum_lx / sum_l2 if sum_l2 != F(0) else F(0)
        fit[SCALE + lane] = scale
        fit[INVERSE + lane] = fit[_TRY_INVERSE + lane]
        fit[_BEST + lane] = scale * sum_lx
    for step in range(-9, 10):
        if step == 0:
            continue
        candidate = -(F(-BOTTOM) + F(0.1) * F(step))
        for lane in range(LANES):
            fit[_TRY_INVERSE + lane] = candidate / fit[_MAX + lane]
        _level_sums(x, fit, F(BOTTOM), F(TOP))
        for lane in range(LANES):
            sum_lx = fit[_SUM_LX + lane]
            sum_l2 = fit[_SUM_L2 + lane]
            old_scale, best = fit[SCALE + lane], fit[_BEST + lane]
            new_inverse, inverse = fit[_TRY_INVERSE + lane], fit[INVERSE + lane]
            better = (sum_l2 > F(0)) & (sum_lx * sum_lx > best * sum_l2)
            scale = sum_lx / sum_l2
            fit[_NEXT + SCALE + lane] = scale if better else old_scale
            fit[_NEXT + INVERSE + lane] = new_inverse if better else inverse
            fit[_NEXT + _BEST + lane] = scale * sum_lx if better else best
        for i in range(_NEXT):
            fit[i] = fit[_NEXT + i]
    for lane in range(LANES):
        if fit[_MAX + lane] == F(0):
            fit[SCALE + lane] = F(0)
            fit[INVERSE + lane] = F(0)
