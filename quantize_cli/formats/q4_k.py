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

from quantize_cli.formats._affine import AffineSearch
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._k_scales import (
    HEAD_BYTES,
    SUB_BLOCK,
    SUB_BLOCKS,
    TOP_SCALE,
    encode_head,
    encode_levels,
    scale_and_min,
)
from quantize_cli.formats._super_blocks import SUPER_BLOCK, Scheme, fit_super_blocks, new_work
from quantize_cli.formats._vector import LANES, load_bytes, store, store_bytes, to_floats
from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed, UseOfImportance

F = np.float32
I = np.int32  # noqa: E741
BLOCK_BYTES = 144
TOP = F(15)
QS = HEAD_BYTES
SCHEME = Scheme(
    plain=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-1), step=F(0.1), steps=21, absolute=False),
    weighted=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-0.9), step=F(0.05), steps=37, absolute=False),
    variance=F(2),
    top_scale=TOP_SCALE,
    plain_cap=TOP_SCALE,
    weighted_cap=I(255),
)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 144]."""
    work = new_work(SUB_BLOCK)
    for first in range(0, blocks.shape[0], LANES):
        for lane in range(fit_super_blocks(blocks, importance, first, SCHEME, work)):
            block = out[first + lane]
            encode_head(work, lane, block)
            encode_levels(blocks[first + lane], lane, block, SCHEME, work)
            for pair in range(SUB_BLOCKS // 2):
                low = load_bytes(work.levels, 2 * pair * SUB_BLOCK)
                high = load_bytes(work.levels, (2 * pair + 1) * SUB_BLOCK)
                store_bytes(block, QS + pair * SUB_BLOCK, low | high << I(4))


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 144] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        for pair in range(SUB_BLOCKS // 2):
            levels = load_bytes(block, QS + pair * SUB_BLOCK)
            scale, low = scale_and_min(block, 2 * pair)
            store(values, 2 * pair * SUB_BLOCK, scale * to_floats(levels & I(15)) - low)
            scale, low = scale_and_min(block, 2 * pair + 1)
            store(values, (2 * pair + 1) * SUB_BLOCK, scale * to_floats(levels >> I(4)) - low)


Q4_K = BlockFormat(GGMLQuantizationType.Q4_K, SUPER_BLOCK, BLOCK_BYTES, pack, unpack, UseOfImportance.OPTIONAL)
