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
from gguf import GGMLQuantizationType

from quantize_cli.formats._affine import FIT_SIZE, AffineSearch, search_affine
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half
from quantize_cli.formats._k_scales import (
    HEAD_BYTES,
    SUB_BLOCK,
    SUB_BLOCKS,
    SUPER_BLOCK,
    encode_head,
    encode_levels,
    min_at,
    scale_at,
)
from quantize_cli.formats._k_weights import rms_plus_magnitude
from quantize_cli.formats._lanes import LANES, load_lanes
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
BLOCK_BYTES = 176
TOP = 31
SEARCH = AffineSearch(size=SUB_BLOCK, top=F(TOP), first=F(-0.5), step=F(0.1), steps=16, absolute=False)
QH = HEAD_BYTES
QS = HEAD_BYTES + 32


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 256 * 176]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    x = np.empty(SUB_BLOCK * LANES, np.float32)
    w = np.empty(SUB_BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    levels = np.empty(SUPER_BLOCK, np.uint8)
    blocks = flat.size // SUPER_BLOCK
    for first in range(0, blocks, LANES // SUB_BLOCKS):
        load_lanes(flat, first * SUB_BLOCKS, SUB_BLOCK, x)
        rms_plus_magnitude(x, w)
        search_affine(x, w, fit, SEARCH)
        for block in range(first, min(blocks, first + LANES // SUB_BLOCKS)):
            lane = (block - first) * SUB_BLOCKS
            at = block * BLOCK_BYTES
            values = flat[block * SUPER_BLOCK : (block + 1) * SUPER_BLOCK]
            encode_head(fit, lane, packed, at)
            encode_levels(values, fit, lane, packed, at, TOP, levels)
            packed[at + QH : at + QS] = 0
            for pair in range(SUB_BLOCKS // 2):
                for i in range(SUB_BLOCK):
                    low = levels[2 * pair * SUB_BLOCK + i]
                    high = levels[(2 * pair + 1) * SUB_BLOCK + i]
                    packed[at + QS + pair * SUB_BLOCK + i] = (low & 15) | (high & 15) << 4
                    packed[at + QH + i] |= (low >> 4 | high >> 4 << 1) << 2 * pair


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 256 * 176] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // SUPER_BLOCK):
        at = block * BLOCK_BYTES
        d = load_half(source, at)
        dmin = load_half(source, at + 2)
        for j in range(SUB_BLOCKS):
            scale = d * F(scale_at(source, at + 4, j))
            low = dmin * F(min_at(source, at + 4, j))
            levels = at + QS + j // 2 * SUB_BLOCK
            shift = j % 2 * 4
            start = block * SUPER_BLOCK + j * SUB_BLOCK
            for i in range(SUB_BLOCK):
                level = (source[levels + i] >> shift & 15) | (source[at + QH + i] >> j & 1) << 4
                flat[start + i] = scale * F(level) - low


Q5_K = BlockFormat(GGMLQuantizationType.Q5_K, SUPER_BLOCK, BLOCK_BYTES, quantize, dequantize)
