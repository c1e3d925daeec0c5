"""Q2_K: 2.625 bits per weight; x = d * scale * level - dmin * min, level 0..3.

A super-block of 256 weights, 16 sub-blocks of 16, 84 bytes:

    0    scales 16 bytes: byte j holds the scale (low 4 bits) and the min (high 4 bits) of sub-block j
    16   qs     64 bytes: byte 32 h + l holds elements 128 h + l + 32 p, p = 0..3, in bits 2p and 2p + 1
    80   d      float16, scale of the scales
    82   dmin   float16, scale of the mins
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._affine import AffineSearch
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, store_half, to_half
from quantize_cli.formats._lanes import Lanes
from quantize_cli.formats._super_blocks import (
    SUPER_BLOCK,
    Scheme,
    Work,
    fit_super_blocks,
    keep_searched_levels,
    new_work,
    round_levels,
)
from quantize_cli.formats._vector import (
    LANES,
    Floats,
    lane_numbers,
    load_bytes,
    select,
    splat_int,
    store,
    store_bytes,
    to_floats,
)
from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed, UseOfImportance

F = np.float32
I = np.int32  # noqa: E741
BLOCK_BYTES = 84
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


@kernel
def _encode_scales(work: Work, lane: int, block: Packed) -> None:
    store_half(block, D, to_half(work.head[lane]))
    store_half(block, DMIN, to_half(work.head[LANES + lane]))
    for j in range(SUB_BLOCKS):
        scale = int(work.stored_scales[j * LANES + lane])
        low = int(work.stored_mins[j * LANES + lane])
        block[j] = np.uint8((scale | low << 4) & 255)  # a negative scale spoils the min's bits: so it does there


@kernel
def _scales_and_mins(block: Packed, plane: int) -> tuple[Floats, Floats]:
    """What the levels of the two sub-blocks of a plane are multiplied with, and what is then subtracted."""
    even, odd = I(block[2 * plane]), I(block[2 * plane + 1])
    heads = select(lane_numbers() < I(SUB_BLOCK), even, splat_int(odd))
    scales = load_half(block, D) * to_floats(heads & I(15))
    return scales, load_half(block, DMIN) * to_floats(heads >> I(4))


@kernel
def _encode_levels(values: Lanes, lane: int, block: Packed, work: Work) -> None:
    """Levels of one super-block's 256 `values` under its stored scales and mins, into work.levels."""
    for plane in range(2 * PLANES):
        scales, lows = _scales_and_mins(block, plane)
        round_levels(values, plane * PLANE, scales, lows, I(TOP), work.levels)
    d = load_half(block, D)
    for j in range(SUB_BLOCKS):
        if d * F(block[j] & 15) == F(0):
            keep_searched_levels(values, lane, j, SCHEME.plain, work)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 84]."""
    work = new_work(SUB_BLOCK)
    for first in range(0, blocks.shape[0], LANES):
        for lane in range(fit_super_blocks(blocks, importance, first, SCHEME, work)):
            block = out[first + lane]
            _encode_scales(work, lane, block)
            _encode_levels(blocks[first + lane], lane, block, work)
            for half in range(2):
                packed = splat_int(I(0))
                for p in range(PLANES):
                    packed |= load_bytes(work.levels, (half * PLANES + p) * PLANE) << I(2 * p)
                store_bytes(block, QS + half * PLANE, packed)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 84] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        for plane in range(2 * PLANES):
            scales, lows = _scales_and_mins(block, plane)
            levels = load_bytes(block, QS + plane // PLANES * PLANE) >> I(plane % PLANES * 2) & I(3)
            store(values, plane * PLANE, scales * to_floats(levels) - lows)


Q2_K = BlockFormat(GGMLQuantizationType.Q2_K, SUPER_BLOCK, BLOCK_BYTES, pack, unpack, UseOfImportance.OPTIONAL)
