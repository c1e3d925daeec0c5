"""Q2_K: 2.625 bits per weight; x = d * scale * level - dmin * min, level 0..3.

A super-block of 256 weights, 16 sub-blocks of 16, 84 bytes:

    0    scales 16 bytes: byte j holds the scale (low 4 bits) and the min (high 4 bits) of sub-block j
    16   qs     64 bytes: byte 32 h + l holds elements 128 h + l + 32 p, p = 0..3, in bits 2p and 2p + 1
    80   d      float16, scale of the scales
    82   dmin   float16, scale of the mins
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.k.affine import (
    Scheme,
    Work,
    fit_super_blocks,
    new_work,
    stored_levels,
)
from quantize_cli.blocks.search.affine import AffineSearch
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import Lanes, store_lane
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    lane_numbers,
    load,
    load_bytes,
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
#: Elements whose levels lie in the same bits of neighbouring bytes: two sub-blocks.
PLANE = 32
PLANES = 4
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
def _pack_scales(work: Work) -> None:
    for j in range(0, SUB_BLOCKS * LANES, LANES):
        # A negative scale has wrapped, and spoils the min's bits: so it does in the reference.
        store_bytes(work.packed, j, to_ints(load(work.scale_levels, j)) | to_ints(load(work.min_levels, j)) << I(4))


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
        _pack_scales(work)
        for lane in range(count):
            block, values = out[first + lane], blocks[first + lane]
            store_lane(work.packed, lane, SUB_BLOCKS, block, 0)
            store_half(block, D, to_half(work.d[lane]))
            store_half(block, DMIN, to_half(work.dmin[lane]))
            d, dmin = load_half(block, D), load_half(block, DMIN)
            packed = splat_int(I(0))
            for plane in range(2 * PLANES):
                heads = _heads(block, plane)
                scale, low = d * to_floats(heads & I(15)), dmin * to_floats(heads >> I(4))
                inverse, origin = _of_plane(work.inverses, plane, lane), _of_plane(work.origins, plane, lane)
                levels = stored_levels(load(values, plane * PLANE), scale, low, inverse, origin, I(TOP))
                packed |= levels << I(plane % PLANES * 2)
                if plane % PLANES == PLANES - 1:
                    store_bytes(block, QS + plane // PLANES * PLANE, packed)
                    packed = splat_int(I(0))


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 84] into out, float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d, dmin = load_half(block, D), load_half(block, DMIN)
        for plane in range(2 * PLANES):
            heads = _heads(block, plane)
            levels = load_bytes(block, QS + plane // PLANES * PLANE) >> I(plane % PLANES * 2) & I(3)
            scale, low = d * to_floats(heads & I(15)), dmin * to_floats(heads >> I(4))
            store(values, plane * PLANE, scale * to_floats(levels) - low)


Q2_K = BlockType("Q2_K", pack, unpack)
