"""Splits of a sub-block of IQ1_S or IQ1_M: its sorted weights in three parts, which get the levels 0, 1 and 2.

Method: ggml-quants.c, `quantize_row_iq1_s_impl` and `quantize_row_iq1_m_impl`. A level stands for
scale * (level - 1 + shift) with a shift of 1/8 or -1/8. Of all splits and shifts the one is taken that explains most.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.iq1.work import IntLanes
from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.vector import LANES, Floats, Mask, load, load_ints, select, splat, splat_int, store, store_ints

F = np.float32
I = np.int32  # noqa: E741
LOWEST = F(np.finfo(np.float32).min)

#: A split as one number: the rank of the first weight with level 1, that of the first with level 2 times 2^6, and the
#: shifts times 2^12; -1 if none was found.
SECOND = 6
SHIFTS = 12


@inner
def rank(x: Lanes, ranks: IntLanes) -> None:
    """Find the place of every value in its lane's ascending order; equal ones keep theirs, as in glibc's qsort."""
    for i in range(0, x.size, LANES):
        value = load(x, i)
        place = splat_int(I(0))
        for j in range(0, i, LANES):
            before = load(x, j) <= value
            other = load_ints(ranks, j)
            store_ints(ranks, j, select(before, other, other + I(1)))
            place = select(before, place + I(1), place)
        store_ints(ranks, i, place)


@inner
def sum_in_order(x: Lanes, w: Lanes, ranks: IntLanes, parts: int, sums_x: Lanes, sums_w: Lanes) -> None:
    """Sum w * x and w over the first n of a sub-block's elements in ascending order, n = 0..size.

    Args:
        x: the values, flat float32[size * LANES].
        w: their weights, same layout.
        ranks: their places.
        parts: 1, or 2 for each half of the sub-block by itself: an element of the other half adds nothing.
        sums_x: receives the parts' sums, one part after another, flat float32[parts * (size + 1) * LANES].
        sums_w: the same.
    """
    size = x.size // parts
    for part in range(parts):
        offset = part * (x.size + LANES)
        for i in range(offset, offset + x.size + LANES, LANES):
            store(sums_x, i, splat(F(0)))
            store(sums_w, i, splat(F(0)))
        for i in range(part * size, (part + 1) * size, LANES):
            for lane in range(LANES):
                place = offset + (ranks[i + lane] + 1) * LANES + lane
                sums_x[place] = w[i + lane] * x[i + lane]
                sums_w[place] = w[i + lane]
        sum_x = splat(F(0))
        sum_w = splat(F(0))
        for i in range(offset, offset + x.size + LANES, LANES):
            sum_x += load(sums_x, i)
            sum_w += load(sums_w, i)
            store(sums_x, i, sum_x)
            store(sums_w, i, sum_w)


@inner
def may_win(sum_qx: Floats, sum_q2: Floats, best: Floats) -> Mask:
    """Tell where a split explains more than `best`, if sum_q2 is positive, as it nearly always is."""
    return sum_qx * sum_qx > best * sum_q2
