"""Q4_K: 4.5 bits per weight; x = d * scale * level - dmin * min, level 0..15.

A super-block of 256 weights, 8 sub-blocks of 32, 144 bytes:

    0    d      float16, scale of the scales
    2    dmin   float16, scale of the mins
    4    scales 12 bytes, see _k_scales.py
    16   qs     128 bytes: byte 32 p + l holds element l of sub-block 2p (low 4 bits) and of 2p + 1 (high 4 bits)
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._affine import FIT_SIZE, AffineSearch, search_affine
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._k_scales import (
    HEAD_BYTES,
    SUB_BLOCK,
    SUB_BLOCKS,
    SUPER_BLOCK,
    encode_head,
    encode_levels,
    new_work,
    scale_and_min,
)
from quantize_cli.formats._k_weights import rms_plus_magnitude
from quantize_cli.formats._lanes import LANES, load_lanes
from quantize_cli.formats._simple import pack_nibbles
from quantize_cli.formats.base import BlockFormat, Blocks, Packed

F = np.float32
BLOCK_BYTES = 144
TOP = 15
QS = HEAD_BYTES
SEARCH = AffineSearch(size=SUB_BLOCK, top=F(TOP), first=F(-1), step=F(0.1), steps=21, absolute=False)


@kernel
def pack(blocks: Blocks, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 144]."""
    flat = blocks.reshape(-1)
    x = np.empty(SUB_BLOCK * LANES, np.float32)
    w = np.empty(SUB_BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    work = new_work()
    for first in range(0, blocks.shape[0], LANES // SUB_BLOCKS):
        load_lanes(flat, first * SUB_BLOCKS, SUB_BLOCK, x)
        rms_plus_magnitude(x, w)
        search_affine(x, w, fit, SEARCH)
        for number in range(first, min(blocks.shape[0], first + LANES // SUB_BLOCKS)):
            lane = (number - first) * SUB_BLOCKS
            block = out[number]
            encode_head(fit, lane, block)
            encode_levels(blocks[number], fit, lane, block, TOP, work)
            for pair in range(SUB_BLOCKS // 2):
                levels = work.levels[2 * pair * SUB_BLOCK : 2 * (pair + 1) * SUB_BLOCK]
                pack_nibbles(levels, block[QS + pair * SUB_BLOCK : QS + (pair + 1) * SUB_BLOCK])


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 144] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        for j in range(SUB_BLOCKS):
            scale, low = scale_and_min(block, j)
            levels = QS + j // 2 * SUB_BLOCK
            shift = j % 2 * 4
            for i in range(SUB_BLOCK):
                values[j * SUB_BLOCK + i] = scale * F(block[levels + i] >> shift & 15) - low


Q4_K = BlockFormat(GGMLQuantizationType.Q4_K, SUPER_BLOCK, BLOCK_BYTES, pack, unpack)
