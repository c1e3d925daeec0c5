"""The non-linear 4-bit levels of IQ4_NL and IQ4_XS, and the search for a block's scale.

Method: ggml-quants.c, `quantize_row_iq4_nl_impl` with ntry 7: the scale that maps the largest magnitude to one end of
the table, then 15 inverse scales near it, of the other sign; of the weighted least-squares scales the one that explains
most wins.

Those 15 differ by less than 12 %, and each threshold between two levels from the next of its sign by more than 23 %. So
over all of them an element has at most two levels, neighbours. Which ones is looked up once for each element; a
candidate then asks only on which side of one threshold the element lies.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from quantize_cli.blocks.base import Packed
from quantize_cli.blocks.search.symmetric import GROUP_MAX_EPS, first_extreme
from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.lanes import Lanes, new_lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    gather,
    load,
    load_nibbles,
    magnitude,
    select,
    splat,
    splat_int,
    store,
)

F = np.float32
I = np.int32  # noqa: E741
#: Weights that share a scale: a block of IQ4_NL, a sub-block of IQ4_XS.
SUB_BLOCK = 32
#: What level 0..15 stands for (ggml-common.h, kvalues_iq4nl).
VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
TRIES = 7


def _threshold(low: int, high: int) -> np.float32:
    """Find the smallest float32 x at which the reference prefers `high`: not (x - low < high - x), in float32."""

    def prefers_high(x: np.float32) -> bool:
        return not x - F(low) < F(high) - x

    x = F((low + high) / 2)
    while prefers_high(x):
        x = np.nextafter(x, F(-np.inf))
    while not prefers_high(x):
        x = np.nextafter(x, F(np.inf))
    return x


#: Level l is chosen from _THRESHOLDS[l - 1] on; nothing is beyond the last.
_THRESHOLDS = np.array([*(_threshold(low, high) for low, high in pairwise(VALUES)), np.inf], np.float32)
#: The last once more, as its own upper neighbour.
_VALUES = np.array([*VALUES, VALUES[-1]], np.float32)
_STEPS = len(VALUES) - 1


class Brackets(NamedTuple):
    """The two levels that each element may have, flat float32[32 * LANES]."""

    threshold: Lanes  #: where the upper one begins
    low_qx: Lanes  #: w * q * x, q the table value of the lower one
    high_qx: Lanes
    low_q2: Lanes  #: w * q * q
    high_q2: Lanes


@maker
def new_brackets() -> Brackets:
    """Allocate the brackets."""
    return Brackets(
        new_lanes(SUB_BLOCK),
        new_lanes(SUB_BLOCK),
        new_lanes(SUB_BLOCK),
        new_lanes(SUB_BLOCK),
        new_lanes(SUB_BLOCK),
    )


@inner
def _value_sums(x: Lanes, w: Lanes, inverse: Floats) -> tuple[Floats, Floats]:
    """Sum w * q * x and w * q * q over each lane's nearest table values q."""
    sum_qx = splat(F(0))
    sum_q2 = splat(F(0))
    for i in range(0, SUB_BLOCK * LANES, LANES):
        value = load(x, i)
        scaled = inverse * value
        q = splat(_VALUES[0])
        for level in range(_STEPS):
            q = select(scaled < _THRESHOLDS[level], q, _VALUES[level + 1])
        weighted = load(w, i) * q
        sum_qx += weighted * value
        sum_q2 += weighted * q
    return sum_qx, sum_q2


@inner
def _bracket(x: Lanes, w: Lanes, extreme: Floats, brackets: Brackets) -> None:
    """Find the two levels that each element may have under the 15 candidates."""
    first = (F(-TRIES) + _VALUES[0]) / extreme
    last = (F(TRIES) + _VALUES[0]) / extreme
    for i in range(0, SUB_BLOCK * LANES, LANES):
        value = load(x, i)
        one, other = first * value, last * value
        least = select(one < other, one, other)
        threshold = splat(_THRESHOLDS[0])
        low = splat(_VALUES[0])
        high = splat(_VALUES[1])
        for level in range(_STEPS):
            below = least < _THRESHOLDS[level]
            threshold = select(below, threshold, _THRESHOLDS[level + 1])
            low = select(below, low, _VALUES[level + 1])
            high = select(below, high, _VALUES[level + 2])
        weight = load(w, i)
        store(brackets.threshold, i, threshold)
        store(brackets.low_qx, i, weight * low * value)
        store(brackets.high_qx, i, weight * high * value)
        store(brackets.low_q2, i, weight * low * low)
        store(brackets.high_q2, i, weight * high * high)


@inner
def _candidate_sums(x: Lanes, inverse: Floats, brackets: Brackets) -> tuple[Floats, Floats]:
    """Sum the same under one of the candidates."""
    sum_qx = splat(F(0))
    sum_q2 = splat(F(0))
    for i in range(0, SUB_BLOCK * LANES, LANES):
        low = inverse * load(x, i) < load(brackets.threshold, i)
        sum_qx += select(low, load(brackets.low_qx, i), load(brackets.high_qx, i))
        sum_q2 += select(low, load(brackets.low_q2, i), load(brackets.high_q2, i))
    return sum_qx, sum_q2


@inner
def search_scale(x: Lanes, w: Lanes, brackets: Brackets) -> Floats:
    """Find every lane's scale, 0 for a block that counts as zero.

    Args:
        x: the blocks' values, flat float32[32 * LANES].
        w: weights of the squared errors, same layout.
        brackets: receives the brackets.
    """
    extreme = first_extreme(x, SUB_BLOCK)
    sum_qx, sum_q2 = _value_sums(x, w, F(1) / (-extreme / _VALUES[0]))
    scale = select(sum_q2 > F(0), sum_qx / sum_q2, F(0))
    best = scale * sum_qx
    _bracket(x, w, extreme, brackets)
    for attempt in range(-TRIES, TRIES + 1):
        sum_qx, sum_q2 = _candidate_sums(x, (F(attempt) + _VALUES[0]) / extreme, brackets)
        better = (sum_q2 > F(0)) & (sum_qx * sum_qx > best * sum_q2)
        scale = select(better, sum_qx / sum_q2, scale)
        best = select(better, scale * sum_qx, best)
    found: Floats = select(magnitude(extreme) < GROUP_MAX_EPS, F(0), scale)
    return found


@inner
def nearest_levels(values: Lanes, start: int, inverse: np.float32) -> Ints:
    """Find the levels of the table values nearest to inverse * value, for 32 values from `start` on."""
    scaled = inverse * load(values, start)
    level = splat_int(I(0))
    for step in range(_STEPS):
        level += select(scaled < _THRESHOLDS[step], splat_int(I(0)), I(1))
    return level


@inner
def decode_nearest(block: Packed, at: int, scale: np.float32, values: Lanes, start: int) -> None:
    """Read 16 bytes of levels as 32 values: the inverse."""
    store(values, start, scale * gather(_VALUES, load_nibbles(block, at)))
