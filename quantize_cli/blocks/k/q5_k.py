"""Q5_K: 5.5 bits per weight; x = d * scale * level - dmin * min, level 0..31.

A super-block of 256 weights, 8 sub-blocks of 32, 176 bytes:

    0    d      float16, scale of the scales
    2    dmin   float16, scale of the mins
    4    scales 12 bytes, see _k_scales.py
    16   qh     32 bytes: bit j of byte l is the highest bit of element l of sub-block j
    48   qs     128 bytes: byte 32 p + l holds the low 4 bits of element l of sub-blocks 2p (low) and 2p + 1 (high)
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.k.scales import (
    HEAD_BYTES,
    SUB_BLOCK,
    SUB_BLOCKS,
    TOP_SCALE,
    encode_head,
    pack_scales,
    scale_and_min,
    sub_block_levels,
)
from quantize_cli.blocks.k.super_blocks import Scheme, fit_super_blocks, new_work
from quantize_cli.blocks.search.affine import AffineSearch
from quantize_cli.simd.compile import kernel
from quantize_cli.simd.half import load_half
from quantize_cli.simd.vector import LANES, load_bytes, splat_int, store, store_bytes, to_floats

F = np.float32
I = np.int32  # noqa: E741
TOP = F(31)
QH = HEAD_BYTES
QS = HEAD_BYTES + 32
SCHEME = Scheme(
    plain=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-0.5), step=F(0.1), steps=16, absolute=False),
    weighted=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-0.9), step=F(0.05), steps=37, absolute=False),
    variance=F(2),
    top_scale=TOP_SCALE,
    plain_cap=TOP_SCALE,
    weighted_cap=TOP_SCALE,
)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 176]."""
    work = new_work(SUB_BLOCK)
    for first in range(0, blocks.shape[0], LANES):
        count = fit_super_blocks(blocks, importance, first, SCHEME, work)
        pack_scales(work)
        for lane in range(count):
            block, values = out[first + lane], blocks[first + lane]
            encode_head(work, lane, block)
            d, dmin = load_half(block, 0), load_half(block, 2)
            nibbles = highest = splat_int(I(0))
            for j in range(SUB_BLOCKS):
                scale, low = scale_and_min(block, j)
                levels = sub_block_levels(values, j, d * scale, dmin * low, work, lane, I(TOP))
                highest |= levels >> I(4) << I(j)
                if j % 2 == 0:
                    nibbles = levels & I(15)
                else:
                    store_bytes(block, QS + j // 2 * SUB_BLOCK, nibbles | levels << I(4))
            store_bytes(block, QH, highest)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 176] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d, dmin = load_half(block, 0), load_half(block, 2)
        highest = load_bytes(block, QH)
        for j in range(SUB_BLOCKS):
            scale, low = scale_and_min(block, j)
            levels = load_bytes(block, QS + j // 2 * SUB_BLOCK) >> I(j % 2 * 4) & I(15)
            levels |= (highest >> I(j) & I(1)) << I(4)
            store(values, j * SUB_BLOCK, d * scale * to_floats(levels) - dmin * low)


Q5_K = BlockType("Q5_K", pack, unpack)
