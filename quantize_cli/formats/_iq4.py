"""The non-linear 4-bit levels of IQ4_NL and IQ4_XS, and the search for a block's scale.

Method: ggml-quants.c, `quantize_row_iq4_nl_impl` without importance (weights x^2, ntry 7): the scale that maps the
largest magnitude to an end of the table, then 15 inverse scales near it; of the least-squares scales the one that
explains most wins.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._lanes import LANES, Lanes
from quantize_cli.formats._symmetric import find_extreme

F = np.float32
BLOCK = 32
#: What level 0..15 stands for (ggml-common.h, kvalues_iq4nl).
VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
TRIES = 7


def _threshold(low: int, high: int) -> np.float32:
    """The smallest float32 x at which the reference prefers `high`: not (x - low < high - x), in float32."""

    def prefers_high(x: np.float32) -> bool:
        return not x - F(low) < F(high) - x

    x = F((low + high) / 2)
    while prefers_high(x):
        x = np.nextafter(x, F(-np.inf))
    while not prefers_high(x):
        x = np.nextafter(x, F(np.inf))
    return x


#: Level l is chosen from THRESHOLDS[l - 1] on.
THRESHOLDS = tuple(float(_threshold(low, high)) for low, high in pairwise(VALUES))
_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7, _T8, _T9, _T10, _T11, _T12, _T13, _T14 = (F(t) for t in THRESHOLDS)
_V = tuple(F(v) for v in VALUES)

# Rows of the work space; the first is the result.
SCALE, _BEST = 0 * LANES, 1 * LANES
_NEXT = 2 * LANES  # the rows above after the candidate in hand; masked stores are slow, see `_affine._keep_better`
_MAX, _INVERSE, _SUM_QX, _SUM_Q2 = 4 * LANES, 5 * LANES, 6 * LANES, 7 * LANES
FIT_SIZE = 8 * LANES
#: Two elements a visit: the decision tree below fills the registers.
_UNROLL = 2


@kernel
def _nearest_value(x: np.float32) -> np.float32:
    """The table value nearest to x: a binary search without branches, so that it vectorises."""
    a = x < _T7
    t = _T3 if a else _T11
    b = x < t
    t = (_T1 if b else _T5) if a else (_T9 if b else _T13)
    c = x < t
    low = (_T0 if c else _T2) if b else (_T4 if c else _T6)
    high = (_T8 if c else _T10) if b else (_T12 if c else _T14)
    d = x < (low if a else high)
    v0 = (_V[0] if d else _V[1]) if c else (_V[2] if d else _V[3])
    v1 = (_V[4] if d else _V[5]) if c else (_V[6] if d else _V[7])
    v2 = (_V[8] if d else _V[9]) if c else (_V[10] if d else _V[11])
    v3 = (_V[12] if d else _V[13]) if c else (_V[14] if d else _V[15])
    return (v0 if b else v1) if a else (v2 if b else v3)


@kernel
def encode_nearest(values: Lanes, inverse: np.float32, levels: NDArray[np.uint8]) -> None:
    """Level of the table value nearest to inverse * value, for each of a block's 32 values."""
    for i in range(values.size):
        x = inverse * values[i]
        level = np.int32(0)
        for threshold in THRESHOLDS:
            level += np.int32(0) if x < F(threshold) else np.int32(1)
        levels[i] = level


@kernel
def _value_sums(x: Lanes, fit: Lanes) -> None:
    """Sums of x^2 * q * x and x^2 * q * q over each lane's table values q under _INVERSE."""
    for lane in range(LANES):
        fit[_SUM_QX + lane] = F(0)
        fit[_SUM_Q2 + lane] = F(0)
    for first in range(0, BLOCK, _UNROLL):
        xs = x[first * LANES : (first + _UNROLL) * LANES]
        for lane in range(LANES):
            inverse = fit[_INVERSE + lane]
            sum_qx = fit[_SUM_QX + lane]
            sum_q2 = fit[_SUM_Q2 + lane]
            for i in range(_UNROLL):
                value = xs[i * LANES + lane]
                q = _nearest_value(inverse * value)
                weighted = value * value * q
                sum_qx += weighted * value
                sum_q2 += weighted * q
            fit[_SUM_QX + lane] = sum_qx
            fit[_SUM_Q2 + lane] = sum_q2


@kernel
def search_scale(x: Lanes, fit: Lanes) -> None:
    """Find every lane's scale (0 for a block that counts as zero); the result is the row SCALE of `fit`.

    Args:
        x: values, element-major float32[32 * LANES].
        fit: work space, float32[FIT_SIZE].
    """
    find_extreme(x, BLOCK, fit[_MAX : _MAX + LANES])
    for lane in range(LANES):
        fit[_INVERSE + lane] = F(1) / (-fit[_MAX + lane] / _V[0])
    _value_sums(x, fit)
    for lane in range(LANES):
        sum_qx = fit[_SUM_QX + lane]
        sum_q2 = fit[_SUM_Q2 + lane]
        scale = sum_qx / sum_q2 if sum_q2 > F(0) else F(0)
        fit[SCALE + lane] = scale
        fit[_BEST + lane] = scale * sum_qx
    for attempt in range(-TRIES, TRIES + 1):
        for lane in range(LANES):
            fit[_INVERSE + lane] = (F(attempt) + _V[0]) / fit[_MAX + lane]
        _value_sums(x, fit)
        for lane in range(LANES):
            sum_qx = fit[_SUM_QX + lane]
            sum_q2 = fit[_SUM_Q2 + lane]
            old_scale, best = fit[SCALE + lane], fit[_BEST + lane]
            better = (sum_q2 > F(0)) & (sum_qx * sum_qx > best * sum_q2)
            scale = sum_qx / sum_q2
            fit[_NEXT + SCALE + lane] = scale if better else old_scale
            fit[_NEXT + _BEST + lane] = scale * sum_qx if better else best
        for i in range(_NEXT):
            fit[i] = fit[_NEXT + i]
    for lane in range(LANES):
        fit[SCALE + lane] = F(0) if fit[_MAX + lane] == F(0) else fit[SCALE + lane]


@kernel
def decode_nibbles(packed: NDArray[np.uint8], scale: np.float32, out: Lanes) -> None:
    """16 bytes of levels -> 32 values, the low halves first."""
    for i in range(BLOCK // 2):
        out[i] = scale * F(VALUES[packed[i] & 15])
        out[i + BLOCK // 2] = scale * F(VALUES[packed[i] >> 4])
