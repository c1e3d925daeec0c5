"""Q2_K: 2.625 bits per weight; x = d * scale * level - dmin * min, level 0..3.

A super-block of 256 weights, 16 sub-blocks of 16, 84 bytes:

    0    scales 16 bytes: byte j holds the scale (low 4 bits) and the min (high 4 bits) of sub-block j
    16   qs     64 bytes: byte 32 h + l holds elements 128 h + l + 32 p, p = 0..3, in bits 2p and 2p + 1
    80   d      float16, scale of the scales
    82   dmin   float16, scale of the mins
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Grid, Groups, Heads, Importance, Levels, Packed
from quantize_cli.blocks.k.affine import Scheme, fit_super_blocks, new_work, stored_levels
from quantize_cli.blocks.k.two_bits import load_two_bits, store_two_bits
from quantize_cli.blocks.search.affine import AffineSearch
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import Lanes, load_lanes, new_lanes, store_lane
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    lane_numbers,
    load,
    select,
    splat,
    splat_int,
    store,
    store_bytes,
    to_floats,
    to_ints,
)

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCK = 16
SUB_BLOCKS = 16
#: Vectors of LANES elements, two sub-blocks, whose levels lie in the same bits of neighbouring bytes.
PLANES = 8
TOP = F(3)
TOP_SCALE = I(15)
QS, D, DMIN = 16, 80, 82
SCHEME = Scheme(
    plain=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-0.5), step=F(0.1), steps=16, absolute=True),
    weighted=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-0.9), step=F(0.05), steps=37, absolute=False),
    variance=F(1),
    top_scale=TOP_SCALE,
    plain_cap=I(255),
    weighted_cap=I(255),
)


@inner
def _pack_scales(scales: Lanes, mins: Lanes, packed: Packed) -> None:
    """Pack the levels of scales and mins of LANES super-blocks into `packed`."""
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        # A negative scale has wrapped, and spoils the min's bits: so it does in the reference.
        store_bytes(packed, j, to_ints(load(scales, j)) | to_ints(load(mins, j)) << I(4))


@inner
def _store_head(block: Packed, d: np.uint16, dmin: np.uint16, packed: Packed, lane: int) -> None:
    """Write d, dmin and what `_pack_scales` has left in a lane of `packed`."""
    store_lane(packed, lane, SUB_BLOCKS, block, 0)
    store_half(block, D, d)
    store_half(block, DMIN, dmin)


@inner
def _of_plane(values: Lanes, plane: int, lane: int) -> Floats:
    """Spread what is held for every sub-block over the elements of a plane's two sub-blocks."""
    even = 2 * plane * LANES + lane
    both: Floats = select(lane_numbers() < I(SUB_BLOCK), values[even], splat(values[even + LANES]))
    return both


@inner
def _heads(block: Packed, plane: int) -> Ints:
    """Spread the bytes with scale and min over the elements of a plane's two sub-blocks."""
    even, odd = I(block[2 * plane]), I(block[2 * plane + 1])
    both: Ints = select(lane_numbers() < I(SUB_BLOCK), even, splat_int(odd))
    return both


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 84]."""
    work = new_work(SUB_BLOCK)
    for first in range(0, blocks.shape[0], LANES):
        count = fit_super_blocks(blocks, importance, first, SCHEME, work)
        _pack_scales(work.scale_levels, work.min_levels, work.packed)
        for lane in range(count):
            block, values = out[first + lane], blocks[first + lane]
            _store_head(block, to_half(work.d[lane]), to_half(work.dmin[lane]), work.packed, lane)
            d, dmin = load_half(block, D), load_half(block, DMIN)
            for plane in range(PLANES):
                heads = _heads(block, plane)
                scale, low = d * to_floats(heads & I(15)), dmin * to_floats(heads >> I(4))
                inverse, origin = _of_plane(work.inverses, plane, lane), _of_plane(work.origins, plane, lane)
                levels = stored_levels(load(values, plane * LANES), scale, low, inverse, origin, I(TOP))
                store_bytes(work.levels, plane * LANES, levels)
            store_two_bits(work.levels, I(0), block, QS)


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 84] into out, float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d, dmin = load_half(block, D), load_half(block, DMIN)
        for plane in range(PLANES):
            heads = _heads(block, plane)
            levels = load_two_bits(block, QS, plane // 4, plane % 4)
            scale, low = d * to_floats(heads & I(15)), dmin * to_floats(heads >> I(4))
            store(values, plane * LANES, scale * to_floats(levels) - low)


@kernel
def read(packed: Packed, heads: Heads, scales: Groups, lows: Groups, levels: Levels) -> None:
    """Take blocks uint8[n, 84] apart, as `Grid.read` says."""
    for number in range(packed.shape[0]):
        block, out = packed[number], levels[number]
        heads[number, 0], heads[number, 1] = load_half(block, D), load_half(block, DMIN)
        for j in range(SUB_BLOCKS):
            scales[number, j], lows[number, j] = F(block[j] & 15), F(block[j] >> 4)
        for plane in range(PLANES):
            store_bytes(out, plane * LANES, load_two_bits(block, QS, plane // 4, plane % 4))


@kernel
def write(heads: Heads, scales: Groups, lows: Groups, levels: Levels, packed: Packed) -> None:
    """Put blocks uint8[n, 84] together, as `Grid.write` says."""
    stored, mins, bytes_of_scales = new_lanes(SUB_BLOCKS), new_lanes(SUB_BLOCKS), np.empty(16 * LANES, np.uint8)
    for first in range(0, packed.shape[0], LANES):
        count = min(LANES, packed.shape[0] - first)
        load_lanes(scales, first, count, stored)
        load_lanes(lows, first, count, mins)
        _pack_scales(stored, mins, bytes_of_scales)
        for lane in range(count):
            d, dmin = to_half(heads[first + lane, 0]), to_half(heads[first + lane, 1])
            _store_head(packed[first + lane], d, dmin, bytes_of_scales, lane)
            store_two_bits(levels[first + lane], I(0), packed[first + lane], QS)


_GRID = Grid(tuple(map(float, range(4))), SUB_BLOCK, (0, int(TOP_SCALE)), (0, int(TOP_SCALE)), read, write)
Q2_K = BlockType("Q2_K", pack, unpack, grid=_GRID)
