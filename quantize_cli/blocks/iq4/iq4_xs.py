"""IQ4_XS: 4.25 bits per weight; x = d * (scale - 32) * VALUES[level], level 0..15 in a non-linear table.

A super-block of 256 weights, 8 sub-blocks of 32, 136 bytes:

    0    d         float16
    2    scales_h  16 bits: bits 2j and 2j + 1 are the high 2 bits of scale j
    4    scales_l  4 bytes: byte p holds the low 4 bits of scale 2p and, in its high half, of scale 2p + 1
    8    qs        128 bytes: byte 16 j + i holds levels i (low 4 bits) and i + 16 (high 4 bits) of sub-block j
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantize_cli.blocks.base import (
    SUPER_BLOCK,
    Blocks,
    BlockType,
    Grid,
    Groups,
    Heads,
    Importance,
    Levels,
    Packed,
)
from quantize_cli.blocks.iq4.levels import (
    SUB_BLOCK,
    VALUES,
    Brackets,
    decode_nearest,
    nearest_levels,
    new_brackets,
    search_scale,
)
from quantize_cli.blocks.search.inverses import inverse_unless_zero
from quantize_cli.blocks.search.symmetric import first_extreme, levels_from_zero
from quantize_cli.blocks.search.weights import squares, sum_of_squares, weigh_importance
from quantize_cli.simd.compile import inner, kernel, kernel_and_part, maker, part
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import Lanes, load_lanes, new_lanes, store_lane
from quantize_cli.simd.vector import (
    LANES,
    Ints,
    load,
    load_bytes,
    load_nibbles,
    splat,
    splat_int,
    store,
    store_bytes,
    store_nibbles,
    to_floats,
    to_ints,
)

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCKS = 8
BOTTOM = -32
SCALES_H, SCALES_L, QS = 2, 4, 8
#: Bytes of the scales.
SCALE_BYTES = QS - SCALES_H


class Work(NamedTuple):
    """Room for LANES super-blocks; flat float32 buffers of vectors."""

    x: Lanes  #: 256 vectors
    importance: Lanes  #: 256 vectors
    w: Lanes  #: 32 vectors
    brackets: Brackets
    scales: Lanes  #: 8 vectors: the scales that were found
    stored: Lanes  #: 8 vectors: levels -32..31 of the scales
    inverses: Lanes  #: 8 vectors: of what the stored scales stand for
    d: Lanes  #: 1 vector, before it is rounded to float16
    packed: Packed  #: uint8[6 * LANES]: bytes of the levels of scales; a lane's lie LANES apart


@maker
def _new_work() -> Work:
    return Work(
        new_lanes(SUPER_BLOCK),
        new_lanes(SUPER_BLOCK),
        new_lanes(SUB_BLOCK),
        new_brackets(),
        new_lanes(SUB_BLOCKS),
        new_lanes(SUB_BLOCKS),
        new_lanes(SUB_BLOCKS),
        new_lanes(1),
        np.empty(SCALE_BYTES * LANES, np.uint8),
    )


@inner
def _fit(blocks: Blocks, importance: Importance | None, first: int, work: Work) -> int:
    """Fit up to LANES super-blocks, from number `first` on: their stored scales and d; return how many."""
    count: int = min(LANES, blocks.shape[0] - first)
    load_lanes(blocks, first, count, work.x)
    variance = splat(F(0))
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
        variance = sum_of_squares(work.x) * F(2 / SUPER_BLOCK)
    for j in range(SUB_BLOCKS):
        block = slice(j * SUB_BLOCK * LANES, (j + 1) * SUB_BLOCK * LANES)
        x = work.x[block]
        if importance is None:
            squares(x, work.w)
        else:
            weigh_importance(x, work.importance[block], variance, work.w)
        store(work.scales, j * LANES, search_scale(x, work.w, work.brackets))
    d = -first_extreme(work.scales, SUB_BLOCKS) / F(-BOTTOM)
    inverse = inverse_unless_zero(d)
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        level = to_floats(levels_from_zero(inverse * load(work.scales, j), I(BOTTOM)) + I(BOTTOM))
        store(work.stored, j, level)
        # With the unrounded d, as in the reference.
        store(work.inverses, j, inverse_unless_zero(d * level))
    store(work.d, 0, d)
    return count


@inner
def _pack_scales(stored: Lanes, packed: Packed) -> None:
    """Pack the levels -32..31 of the scales of LANES super-blocks into `packed`, as bytes SCALES_H to QS."""
    for byte in range(SCALES_L - SCALES_H):
        high = splat_int(I(0))
        for k in range(4):
            high |= _scale_level(stored, 4 * byte + k) >> I(4) << I(2 * k)
        store_bytes(packed, byte * LANES, high)
    for byte in range(QS - SCALES_L):
        low = _scale_level(stored, 2 * byte) & I(15) | (_scale_level(stored, 2 * byte + 1) & I(15)) << I(4)
        store_bytes(packed, (SCALES_L - SCALES_H + byte) * LANES, low)


@inner
def _scale_level(stored: Lanes, j: int) -> Ints:
    """Read the levels of scale j in every lane, counted from 0."""
    return to_ints(load(stored, j * LANES)) - I(BOTTOM)


@part
def _scale(block: Packed, j: int) -> np.float32:
    """Read scale j, less 32."""
    low = block[SCALES_L + j // 2] >> 4 * (j % 2) & 15
    high = block[SCALES_H + j // 4] >> 2 * (j % 4) & 3
    return F(int(low | high << 4) + BOTTOM)


@inner
def _store_head(block: Packed, d: np.uint16, packed: Packed, lane: int) -> None:
    """Write d and what `_pack_scales` has left in a lane of `packed`."""
    store_half(block, 0, d)
    store_lane(packed, lane, SCALE_BYTES, block, SCALES_H)


@inner
def _store_levels(block: Packed, j: int, levels: Ints) -> None:
    """Write the levels of sub-block j."""
    store_nibbles(block, QS + j * SUB_BLOCK // 2, levels)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 136]."""
    work = _new_work()
    for first in range(0, blocks.shape[0], LANES):
        count = _fit(blocks, importance, first, work)
        _pack_scales(work.stored, work.packed)
        for lane in range(count):
            values, block = blocks[first + lane], out[first + lane]
            _store_head(block, to_half(work.d[lane]), work.packed, lane)
            for j in range(SUB_BLOCKS):
                _store_levels(block, j, nearest_levels(values, j * SUB_BLOCK, work.inverses[j * LANES + lane]))


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 136] into out, float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        for j in range(SUB_BLOCKS):
            decode_nearest(block, QS + j * SUB_BLOCK // 2, d * _scale(block, j), values, j * SUB_BLOCK)


@kernel
def read(packed: Packed, heads: Heads, scales: Groups, lows: Groups, levels: Levels) -> None:
    """Take blocks uint8[n, 136] apart, as `Grid.read` says."""
    for number in range(packed.shape[0]):
        block, out = packed[number], levels[number]
        heads[number, 0], heads[number, 1] = load_half(block, 0), F(0)
        for j in range(SUB_BLOCKS):
            scales[number, j], lows[number, j] = _scale(block, j), F(0)
            store_bytes(out, j * SUB_BLOCK, load_nibbles(block, QS + j * SUB_BLOCK // 2))


@kernel
def write(heads: Heads, scales: Groups, _lows: Groups, levels: Levels, packed: Packed) -> None:
    """Put blocks uint8[n, 136] together, as `Grid.write` says."""
    stored, bytes_of_scales = new_lanes(SUB_BLOCKS), np.empty(SCALE_BYTES * LANES, np.uint8)
    for first in range(0, packed.shape[0], LANES):
        count = min(LANES, packed.shape[0] - first)
        load_lanes(scales, first, count, stored)
        _pack_scales(stored, bytes_of_scales)
        for lane in range(count):
            block, values = packed[first + lane], levels[first + lane]
            _store_head(block, to_half(heads[first + lane, 0]), bytes_of_scales, lane)
            for j in range(SUB_BLOCKS):
                _store_levels(block, j, load_bytes(values, j * SUB_BLOCK))


_GRID = Grid(tuple(map(float, VALUES)), SUB_BLOCK, (BOTTOM, ~BOTTOM), (0, 0), read, write)
IQ4_XS = BlockType("IQ4_XS", pack, unpack, grid=_GRID)
