"""What Q2_K, Q4_K and Q5_K share: a super-block's sub-blocks are fitted one by one, then their scales and their mins.

Method: ggml-quants.c, `quantize_row_q4_K_ref`, `quantize_row_q4_K_impl` and those of q2_K and q5_K. Without importance
scales and mins are rounded to levels of the largest; with importance those levels are fitted, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantize_cli.blocks.base import SUPER_BLOCK, Blocks, Importance, Packed
from quantize_cli.blocks.search.affine import FIT_SIZE, INVERSE, MIN, ORIGIN, SCALE, AffineSearch, search_affine
from quantize_cli.blocks.search.positive import fit_positive
from quantize_cli.blocks.search.weights import root_plus_magnitude, sum_of_squares, weigh_importance
from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.lanes import Lanes, load_lanes, new_lanes
from quantize_cli.simd.rounding import nearest_ints
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    any_lane,
    clamped,
    load,
    select,
    splat,
    square_root,
    store,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741


class Scheme(NamedTuple):
    """What tells the types apart."""

    plain: AffineSearch  #: without importance
    weighted: AffineSearch  #: with importance
    variance: np.float32  #: this many mean squares of the super-block are added to each square, with importance
    top_scale: np.int32  #: the largest level of scales and mins
    plain_cap: np.int32  #: levels of scales are bytes, so that a negative scale wraps; then they are capped by this
    weighted_cap: np.int32


class Work(NamedTuple):
    """Room for LANES super-blocks; flat float32 buffers of vectors."""

    x: Lanes  #: 256 vectors
    importance: Lanes  #: 256 vectors
    w: Lanes  #: a sub-block's vectors
    fit: Lanes  #: the result of a sub-block's search
    scales: Lanes  #: a vector for each sub-block, as in the following
    mins: Lanes
    inverses: Lanes  #: what gave the levels of the searches, see search/affine.py
    origins: Lanes
    sums: Lanes  #: the weights of scales and mins
    scale_levels: Lanes
    min_levels: Lanes
    d: Lanes  #: a vector: what a level of a scale stands for
    dmin: Lanes  #: a vector
    packed: Packed  #: uint8[16 * LANES]: bytes of the levels of scales and mins, a lane's lie LANES apart
    levels: Packed  #: uint8[256]: levels of one super-block


@maker
def new_work(sub_block: int) -> Work:
    """Allocate the buffers for sub-blocks of that size."""
    count = SUPER_BLOCK // sub_block
    return Work(
        new_lanes(SUPER_BLOCK),
        new_lanes(SUPER_BLOCK),
        new_lanes(sub_block),
        new_lanes(FIT_SIZE // LANES),
        new_lanes(count),
        new_lanes(count),
        new_lanes(count),
        new_lanes(count),
        new_lanes(count),
        new_lanes(count),
        new_lanes(count),
        new_lanes(1),
        new_lanes(1),
        np.empty(16 * LANES, np.uint8),
        np.empty(SUPER_BLOCK, np.uint8),
    )


@inner
def _round_positive(values: Lanes, top: np.int32, levels: Lanes) -> Floats:
    """Round scales or mins to levels as bytes, without importance; return what a level stands for."""
    largest = splat(F(0))
    for i in range(0, values.size, LANES):
        value = load(values, i)
        largest = select(value > largest, value, largest)
    inverse = select(largest > F(0), F(top) / largest, F(0))
    for i in range(0, values.size, LANES):
        store(levels, i, to_floats(nearest_ints(inverse * load(values, i)) & I(255)))
    return largest / F(top)


@inner
def _cap(levels: Lanes, cap: np.int32) -> None:
    for i in range(0, levels.size, LANES):
        level = load(levels, i)
        store(levels, i, select(level < F(cap), level, F(cap)))


@inner
def fit_super_blocks(blocks: Blocks, importance: Importance | None, first: int, scheme: Scheme, work: Work) -> int:
    """Fit up to LANES super-blocks, from number `first` on: stored scales and mins, d and dmin; return how many."""
    count: int = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    variance = splat(F(0))
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
        variance = scheme.variance * sum_of_squares(work.x) / F(SUPER_BLOCK)
    width = work.w.size
    for j in range(0, work.scales.size, LANES):
        start = j // LANES * width
        x = work.x[start : start + width]
        if importance is None:
            root = splat(F(0)) if scheme.plain.absolute else square_root(sum_of_squares(x) / F(scheme.plain.size))
            root_plus_magnitude(x, root, work.w)
            search_affine(x, work.w, scheme.plain, work.fit)
        else:
            weights = work.importance[start : start + width]
            store(work.sums, j, weigh_importance(x, weights, variance, work.w))
            search_affine(x, work.w, scheme.weighted, work.fit)
        store(work.scales, j, load(work.fit, SCALE))
        store(work.mins, j, -load(work.fit, MIN))
        store(work.inverses, j, load(work.fit, INVERSE))
        store(work.origins, j, load(work.fit, ORIGIN))
    top = scheme.top_scale
    if importance is None:
        store(work.d, 0, _round_positive(work.scales, top, work.scale_levels))
        store(work.dmin, 0, _round_positive(work.mins, top, work.min_levels))
        _cap(work.scale_levels, scheme.plain_cap)
        _cap(work.min_levels, scheme.plain_cap)
    else:
        store(work.d, 0, fit_positive(work.scales, work.sums, top, work.scale_levels))
        store(work.dmin, 0, fit_positive(work.mins, work.sums, top, work.min_levels))
        _cap(work.scale_levels, scheme.weighted_cap)
        _cap(work.min_levels, scheme.weighted_cap)
    return count


@inner
def stored_levels(value: Floats, scale: Floats, low: Floats, inverse: Floats, origin: Floats, top: np.int32) -> Ints:
    """Compute levels 0..top of LANES elements of one super-block under the scale and min that are stored for each.

    Where the stored scale is 0 the levels of the search stay, as in the reference: `inverse` and `origin` give them.
    """
    level = nearest_ints((value + low) / scale)
    kept = scale == F(0)
    if any_lane(kept):
        level = select(kept, nearest_ints(inverse * (value - origin)), level)
    return clamped(level, I(0), top)
