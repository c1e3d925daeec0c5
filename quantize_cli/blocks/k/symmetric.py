"""What Q3_K and Q6_K share: super-blocks of 256 weights, 16 sub-blocks of 16, x ~ d * scale * level.

A vector of 32 elements of one super-block is a pair of sub-blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from quantize_cli.blocks.base import SUPER_BLOCK, Grid, Groups, Heads, Levels, Packed
from quantize_cli.blocks.search.symmetric import FIT_SIZE, levels_from_zero
from quantize_cli.simd.compile import inner, kernel, maker, part
from quantize_cli.simd.half import load_half, to_half
from quantize_cli.simd.lanes import Lanes, load_lanes, new_lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    any_lane,
    lane_numbers,
    load,
    load_bytes,
    nowhere,
    select,
    splat,
    store_bytes,
)

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCK = 16
SUB_BLOCKS = 16
PAIRS = SUB_BLOCKS // 2


class Work(NamedTuple):
    """Room for LANES super-blocks; flat float32 buffers of vectors."""

    x: Lanes  #: 256 vectors
    importance: Lanes  #: 256 vectors
    w: Lanes  #: 16 vectors
    fit: Lanes  #: the result of a search
    scales: Lanes  #: 16 vectors: the scales that were found
    sums: Lanes  #: 16 vectors: the weights of the scales
    stored: Lanes  #: 16 vectors: levels of the scales
    d: Lanes  #: 1 vector: what these levels are multiplied with, before it is rounded to float16
    levels: Packed  #: uint8[256]: levels of one super-block, counted from 0
    packed: Packed  #: uint8[16 * LANES]: bytes of the levels of scales; a lane's lie LANES apart


@maker
def new_work() -> Work:
    """Allocate the buffers."""
    return Work(
        new_lanes(SUPER_BLOCK),
        new_lanes(SUPER_BLOCK),
        new_lanes(SUB_BLOCK),
        new_lanes(FIT_SIZE // LANES),
        new_lanes(SUB_BLOCKS),
        new_lanes(SUB_BLOCKS),
        new_lanes(SUB_BLOCKS),
        new_lanes(1),
        np.empty(SUPER_BLOCK, np.uint8),
        np.empty(SUB_BLOCKS * LANES, np.uint8),
    )


@inner
def halves(first: np.float32, second: np.float32) -> Floats:
    """Spread one value over each sub-block of a pair."""
    values: Floats = select(lane_numbers() < I(SUB_BLOCK), splat(first), splat(second))
    return values


@inner
def of_pair(values: Lanes, pair: int, lane: int) -> Floats:
    """Spread what `lane` has for each sub-block, in a vector each, over the elements of a pair."""
    place = 2 * pair * LANES + lane
    return halves(values[place], values[place + LANES])


@part
def encode_levels(values: Lanes, lane: int, d: np.float32, bottom: np.int32, work: Work) -> bool:
    """Compute the levels of one super-block under d and its stored scales, counted from 0, in work.levels.

    Return whether the product is 0 for some sub-block: there the levels of the search are to be kept.
    """
    zero = nowhere()
    for pair in range(PAIRS):
        scale = d * of_pair(work.stored, pair, lane)
        store_bytes(work.levels, pair * LANES, levels_from_zero(load(values, pair * LANES) / scale, bottom))
        zero = zero | (scale == F(0))
    return any_lane(zero)


@inner
def keep_where_zero(searched: Ints, pair: int, lane: int, d: np.float32, work: Work) -> None:
    """Keep the searched levels of a pair of sub-blocks where d and the stored scale have the product 0."""
    zero = d * of_pair(work.stored, pair, lane) == F(0)
    store_bytes(work.levels, pair * LANES, select(zero, searched, load_bytes(work.levels, pair * LANES)))


class Layout(NamedTuple):
    """Where a type keeps what its blocks are made of, as functions that kernels call."""

    d: int  #: the byte of d
    scale: Callable[[Packed, int], np.float32]  #: reads scale j
    load_levels: Callable[[Packed, int], Ints]  #: reads the levels of a pair of sub-blocks
    pack_scales: Callable[[Lanes, Packed], None]  #: makes the bytes of the scales of LANES super-blocks
    store_head: Callable[[Packed, np.uint16, Packed, int], None]  #: writes d, and the scales of one of the lanes
    store_levels: Callable[[Packed, Packed], None]  #: writes the levels of a super-block


def symmetric_grid(bottom: int, bottom_scale: int, layout: Layout) -> Grid:
    """Make the grid of a type with levels and scales from these on, as many below 0 as from it on."""
    d, scale, load_levels, pack_scales, store_head, store_levels = layout

    @kernel
    def read(packed: Packed, heads: Heads, scales: Groups, lows: Groups, levels: Levels) -> None:
        """Take super-blocks apart, as `Grid.read` says."""
        for number in range(packed.shape[0]):
            block, out = packed[number], levels[number]
            heads[number, 0], heads[number, 1] = load_half(block, d), F(0)
            for j in range(SUB_BLOCKS):
                scales[number, j], lows[number, j] = scale(block, j), F(0)
            for pair in range(PAIRS):
                store_bytes(out, pair * LANES, load_levels(block, pair))

    @kernel
    def write(heads: Heads, scales: Groups, _lows: Groups, levels: Levels, packed: Packed) -> None:
        """Put super-blocks together, as `Grid.write` says."""
        stored, bytes_of_scales = new_lanes(SUB_BLOCKS), np.empty(SUB_BLOCKS * LANES, np.uint8)
        for first in range(0, packed.shape[0], LANES):
            count = min(LANES, packed.shape[0] - first)
            load_lanes(scales, first, count, stored)
            pack_scales(stored, bytes_of_scales)
            for lane in range(count):
                store_head(packed[first + lane], to_half(heads[first + lane, 0]), bytes_of_scales, lane)
                store_levels(levels[first + lane], packed[first + lane])

    points = tuple(map(float, range(bottom, -bottom)))
    return Grid(points, SUB_BLOCK, (bottom_scale, ~bottom_scale), (0, 0), read, write)
