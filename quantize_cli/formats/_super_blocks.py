"""What Q2_K, Q4_K and Q5_K share: a super-block's sub-blocks are fitted one by one, then their scales and their mins.

Method: ggml-quants.c, `quantize_row_q4_K_ref` and `quantize_row_q4_K_impl` and their kin: without importance scales and
mins are rounded to levels of the largest; with importance those levels are fitted, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantize_cli.formats._affine import FIT_SIZE, MIN, SCALE, AffineSearch, search_affine, searched_levels
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import nearest_ints
from quantize_cli.formats._k_weights import root_plus_magnitude, sum_of_squares, weigh_importance
from quantize_cli.formats._lanes import Lanes, load_lanes, new_lanes
from quantize_cli.formats._positive import fit_positive
from quantize_cli.formats._vector import (
    LANES,
    Floats,
    load,
    select,
    splat,
    square_root,
    store,
    store_bytes,
    to_floats,
)
from quantize_cli.formats.base import Blocks, Importance, Packed

F = np.float32
I = np.int32  # noqa: E741
SUPER_BLOCK = 256


class Scheme(NamedTuple):
    """What tells the formats apart."""

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
    fits: Lanes  #: the results of the sub-blocks' searches, one after another
    scales: Lanes  #: a vector for each sub-block, as in the following
    mins: Lanes
    sums: Lanes  #: the weights of scales and mins
    stored_scales: Lanes  #: levels of the scales
    stored_mins: Lanes  #: levels of the mins
    head: Lanes  #: 2 vectors: d and dmin before they are rounded to float16
    levels: Packed  #: uint8[256], of one super-block


@kernel
def new_work(sub_block: int) -> Work:
    """Allocate it for sub-blocks of that size."""
    sub_blocks = SUPER_BLOCK // sub_block
    return Work(
        new_lanes(SUPER_BLOCK),
        new_lanes(SUPER_BLOCK),
        new_lanes(sub_block),
        new_lanes(sub_blocks * FIT_SIZE // LANES),
        new_lanes(sub_blocks),
        new_lanes(sub_blocks),
        new_lanes(sub_blocks),
        new_lanes(sub_blocks),
        new_lanes(sub_blocks),
        new_lanes(2),
        np.empty(SUPER_BLOCK, np.uint8),
    )


@kernel
def _round_positive(values: Lanes, top: np.int32, levels: Lanes) -> Floats:
    """Without importance: levels of scales or mins as bytes, and what a level stands for."""
    largest = splat(F(0))
    for i in range(0, values.size, LANES):
        value = load(values, i)
        largest = select(value > largest, value, largest)
    inverse = select(largest > F(0), F(top) / largest, F(0))
    for i in range(0, values.size, LANES):
        store(levels, i, to_floats(nearest_ints(inverse * load(values, i)) & I(255)))
    return largest / F(top)


@kernel
def _cap(levels: Lanes, cap: np.int32) -> None:
    for i in range(0, levels.size, LANES):
        level = load(levels, i)
        store(levels, i, select(level < F(cap), level, F(cap)))


@kernel
def fit_super_blocks(blocks: Blocks, importance: Importance | None, first: int, scheme: Scheme, work: Work) -> int:
    """Fit up to LANES super-blocks, from number `first` on: stored scales and mins, d and dmin; returns how many."""
    count = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    variance = splat(F(0))
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
        variance = scheme.variance * sum_of_squares(work.x) / F(SUPER_BLOCK)
    width = work.w.size
    for j in range(0, work.scales.size, LANES):
        start = j // LANES * width
        x = work.x[start : start + width]
        fit = work.fits[j // LANES * FIT_SIZE : (j // LANES + 1) * FIT_SIZE]
        if importance is None:
            root = splat(F(0)) if scheme.plain.absolute else square_root(sum_of_squares(x) / F(scheme.plain.size))
            root_plus_magnitude(x, root, work.w)
            search_affine(x, work.w, scheme.plain, fit)
        else:
            weights = work.importance[start : start + width]
            store(work.sums, j, weigh_importance(x, weights, variance, work.w))
            search_affine(x, work.w, scheme.weighted, fit)
        store(work.scales, j, load(fit, SCALE))
        store(work.mins, j, -load(fit, MIN))
    if importance is None:
        store(work.head, 0, _round_positive(work.scales, scheme.top_scale, work.stored_scales))
        store(work.head, LANES, _round_positive(work.mins, scheme.top_scale, work.stored_mins))
        _cap(work.stored_scales, scheme.plain_cap)
        _cap(work.stored_mins, scheme.plain_cap)
    else:
        store(work.head, 0, fit_positive(work.scales, work.sums, scheme.top_scale, work.stored_scales))
        store(work.head, LANES, fit_positive(work.mins, work.sums, scheme.top_scale, work.stored_mins))
        _cap(work.stored_scales, scheme.weighted_cap)
        _cap(work.stored_mins, scheme.weighted_cap)
    return count


@kernel
def round_levels(values: Lanes, start: int, scale: Floats, low: Floats, top: np.int32, levels: Packed) -> None:
    """Levels 0..top of the LANES values from `start` on, of one super-block, under the stored scale and min of each."""
    level = nearest_ints((load(values, start) + low) / scale)
    level = select(level > I(0), level, I(0))
    store_bytes(levels, start, select(level < top, level, top))


@kernel
def keep_searched_levels(values: Lanes, lane: int, j: int, search: AffineSearch, work: Work) -> None:
    """A sub-block whose stored scale is 0 keeps the levels of the search, as in the reference."""
    start, stop = j * search.size, (j + 1) * search.size
    fit = work.fits[j * FIT_SIZE : (j + 1) * FIT_SIZE]
    searched_levels(values[start:stop], fit, lane, int(search.top), work.levels[start:stop])
