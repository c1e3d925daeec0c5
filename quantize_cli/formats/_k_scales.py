"""What Q4_K and Q5_K share: the fit of a super-block, and its head of two float16 and twelve bytes.

Bytes 4 to 15 hold 8 scales and 8 mins of 6 bits (ggml-common.h, block_q4_K): byte 4 + j holds scale j in its low 6 bits
and byte 8 + j min j (j = 0..3); byte 12 + j holds the low 4 bits of scale j + 4 and, in its high half, of min j + 4,
whose high 2 bits are the high bits of bytes 4 + j and 8 + j.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantize_cli.formats._affine import FIT_SIZE, MIN, SCALE, AffineSearch, search_affine, searched_levels
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, nearest_ints, store_half, to_half
from quantize_cli.formats._k_weights import rms_plus_magnitude, sum_of_squares, weigh_importance
from quantize_cli.formats._lanes import Lanes, load_lanes
from quantize_cli.formats._positive import fit_positive
from quantize_cli.formats._vector import LANES, Floats, load, select, splat, store, store_bytes, to_floats
from quantize_cli.formats.base import Blocks, Importance, Packed

F = np.float32
I = np.int32  # noqa: E741
SUPER_BLOCK = 256
SUB_BLOCK = 32
SUB_BLOCKS = 8
#: Bytes of d, dmin and the packed scales and mins.
HEAD_BYTES = 16
#: The largest stored scale or min.
TOP_SCALE = 63


class Searches(NamedTuple):
    """A format's searches without and with importance."""

    plain: AffineSearch
    weighted: AffineSearch


class Work(NamedTuple):
    """Room for LANES super-blocks; flat float32 buffers of vectors."""

    x: Lanes  #: 256 vectors
    importance: Lanes  #: 256 vectors
    w: Lanes  #: 32 vectors
    fits: Lanes  #: the results of the sub-blocks' searches, one after another
    scales: Lanes  #: 8 vectors
    mins: Lanes  #: 8 vectors
    sums: Lanes  #: 8 vectors: the weights of scales and mins
    stored_scales: Lanes  #: 8 vectors: levels of the scales
    stored_mins: Lanes  #: 8 vectors: levels of the mins
    head: Lanes  #: 2 vectors: d and dmin before they are rounded to float16
    levels: Packed  #: uint8[256], of one super-block


@kernel
def new_work() -> Work:
    """Allocate it."""
    return Work(
        np.empty(SUPER_BLOCK * LANES, np.float32),
        np.empty(SUPER_BLOCK * LANES, np.float32),
        np.empty(SUB_BLOCK * LANES, np.float32),
        np.empty(SUB_BLOCKS * FIT_SIZE, np.float32),
        np.empty(SUB_BLOCKS * LANES, np.float32),
        np.empty(SUB_BLOCKS * LANES, np.float32),
        np.empty(SUB_BLOCKS * LANES, np.float32),
        np.empty(SUB_BLOCKS * LANES, np.float32),
        np.empty(SUB_BLOCKS * LANES, np.float32),
        np.empty(2 * LANES, np.float32),
        np.empty(SUPER_BLOCK, np.uint8),
    )


@kernel
def _largest(values: Lanes) -> Floats:
    largest = splat(F(0))
    for i in range(0, values.size, LANES):
        value = load(values, i)
        largest = select(value > largest, value, largest)
    return largest


@kernel
def _round_positive(values: Lanes, levels: Lanes) -> Floats:
    """Without importance: levels 0..63 of scales or mins, and what a level stands for."""
    largest = _largest(values)
    inverse = select(largest > F(0), F(TOP_SCALE) / largest, F(0))
    for i in range(0, values.size, LANES):
        # As a uint8: a negative number wraps, and becomes 63.
        level = nearest_ints(inverse * load(values, i)) & I(255)
        store(levels, i, to_floats(select(level < I(TOP_SCALE), level, I(TOP_SCALE))))
    return largest / F(TOP_SCALE)


@kernel
def fit_super_blocks(blocks: Blocks, importance: Importance | None, first: int, searches: Searches, work: Work) -> int:
    """Fit up to LANES super-blocks, from number `first` on: their stored scales and mins, d and dmin; returns how many."""
    count = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    variance = splat(F(0))
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
        variance = F(2) * sum_of_squares(work.x) / F(SUPER_BLOCK)
    for j in range(SUB_BLOCKS):
        sub_block = slice(j * SUB_BLOCK * LANES, (j + 1) * SUB_BLOCK * LANES)
        x = work.x[sub_block]
        fit = work.fits[j * FIT_SIZE : (j + 1) * FIT_SIZE]
        if importance is None:
            rms_plus_magnitude(x, work.w)
            search_affine(x, work.w, searches.plain, fit)
        else:
            store(work.sums, j * LANES, weigh_importance(x, work.importance[sub_block], variance, work.w))
            search_affine(x, work.w, searches.weighted, fit)
        store(work.scales, j * LANES, load(fit, SCALE))
        store(work.mins, j * LANES, -load(fit, MIN))
    if importance is None:
        store(work.head, 0, _round_positive(work.scales, work.stored_scales))
        store(work.head, LANES, _round_positive(work.mins, work.stored_mins))
    else:
        store(work.head, 0, fit_positive(work.scales, work.sums, I(TOP_SCALE), work.stored_scales))
        store(work.head, LANES, fit_positive(work.mins, work.sums, I(TOP_SCALE), work.stored_mins))
    return count


@kernel
def encode_head(work: Work, lane: int, out: Packed) -> None:
    """Write d, dmin and the packed scales and mins of the super-block in `lane`."""
    store_half(out, 0, to_half(work.head[lane]))
    store_half(out, 2, to_half(work.head[LANES + lane]))
    for j in range(4):
        low_scale = int(work.stored_scales[j * LANES + lane])
        low_min = int(work.stored_mins[j * LANES + lane])
        high_scale = int(work.stored_scales[(j + 4) * LANES + lane])
        high_min = int(work.stored_mins[(j + 4) * LANES + lane])
        out[4 + j] = np.uint8((low_scale | high_scale >> 4 << 6) & 255)
        out[8 + j] = np.uint8((low_min | high_min >> 4 << 6) & 255)
        out[12 + j] = np.uint8((high_scale & 15) | (high_min & 15) << 4)


@kernel
def scale_and_min(block: Packed, j: int) -> tuple[np.float32, np.float32]:
    """What the levels of sub-block j are multiplied with, and what is then subtracted."""
    if j < 4:
        scale = block[4 + j] & 63
        low = block[8 + j] & 63
    else:
        scale = (block[8 + j] & 15) | (block[j] >> 6) << 4
        low = (block[8 + j] >> 4) | (block[4 + j] >> 6) << 4
    return load_half(block, 0) * F(scale), load_half(block, 2) * F(low)


@kernel
def encode_levels(values: Lanes, lane: int, block: Packed, top: np.int32, work: Work) -> None:
    """Levels 0..top of one super-block's 256 `values` under its stored scales and mins, into work.levels.

    A sub-block whose stored scale is 0 keeps the levels of the search, as in the reference.
    """
    for j in range(SUB_BLOCKS):
        scale, low = scale_and_min(block, j)
        start = j * SUB_BLOCK
        if scale == F(0):
            fit = work.fits[j * FIT_SIZE : (j + 1) * FIT_SIZE]
            stop = start + SUB_BLOCK
            searched_levels(values[start:stop], fit, lane, top, work.levels[start:stop])
        else:
            level = nearest_ints((load(values, start) + low) / scale)
            level = select(level > I(0), level, I(0))
            store_bytes(work.levels, start, select(level < top, level, top))
