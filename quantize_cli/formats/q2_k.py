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

from quantize_cli.formats._affine import FIT_SIZE, INVERSE, MIN, ORIGIN, SCALE, AffineSearch, level_of, search_affine
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import clamped_int, load_half, nearest_int, store_half, to_half
from quantize_cli.formats._k_pack import pack_two_bits
from quantize_cli.formats._lanes import LANES, Lanes, load_lanes
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
SUPER_BLOCK = 256
SUB_BLOCK = 16
SUB_BLOCKS = 16
BLOCK_BYTES = 84
TOP = 3
QS, D, DMIN = 16, 80, 82
SEARCH = AffineSearch(size=SUB_BLOCK, top=F(TOP), first=F(-0.5), step=F(0.1), steps=16, absolute=True)


@kernel
def _encode_scales(fit: Lanes, lane: int, out: Packed, at: int) -> None:
    max_scale = F(0)
    max_min = F(0)
    for j in range(SUB_BLOCKS):
        max_scale = max(max_scale, fit[SCALE + lane + j])
        max_min = max(max_min, -fit[MIN + lane + j])
    inverse_scale = F(15) / max_scale if max_scale > F(0) else F(0)
    inverse_min = F(15) / max_min if max_min > F(0) else F(0)
    for j in range(SUB_BLOCKS):
        scale = nearest_int(inverse_scale * fit[SCALE + lane + j])
        low = nearest_int(inverse_min * -fit[MIN + lane + j])
        out[at + j] = np.uint8(scale | low << 4)  # a negative scale wraps, and spoils the min's bits: so it does there
    store_half(out, at + D, to_half(max_scale / F(15)))
    store_half(out, at + DMIN, to_half(max_min / F(15)))


@kernel
def _encode_levels(values: Lanes, fit: Lanes, lane: int, block: Packed, at: int, levels: Packed) -> None:
    d = load_half(block, at + D)
    dmin = load_half(block, at + DMIN)
    for j in range(SUB_BLOCKS):
        start = j * SUB_BLOCK
        scale = d * F(block[at + j] & 15)
        low = dmin * F(block[at + j] >> 4)
        if scale == F(0):
            inverse = fit[INVERSE + lane + j]
            origin = fit[ORIGIN + lane + j]
            for i in range(start, start + SUB_BLOCK):
                levels[i] = np.uint8(level_of(inverse * (values[i] - origin), F(TOP)))
        else:
            for i in range(start, start + SUB_BLOCK):
                levels[i] = clamped_int((values[i] + low) / scale, np.int32(0), np.int32(TOP))


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 256 * 84]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    x = np.empty(SUB_BLOCK * LANES, np.float32)
    w = np.empty(SUB_BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    levels = np.empty(SUPER_BLOCK, np.uint8)
    blocks = flat.size // SUPER_BLOCK
    for first in range(0, blocks, LANES // SUB_BLOCKS):
        load_lanes(flat, first * SUB_BLOCKS, SUB_BLOCK, x)
        for i in range(SUB_BLOCK * LANES):
            w[i] = abs(x[i])
        search_affine(x, w, fit, SEARCH)
        for block in range(first, min(blocks, first + LANES // SUB_BLOCKS)):
            lane = (block - first) * SUB_BLOCKS
            at = block * BLOCK_BYTES
            _encode_scales(fit, lane, packed, at)
            _encode_levels(flat[block * SUPER_BLOCK : (block + 1) * SUPER_BLOCK], fit, lane, packed, at, levels)
            pack_two_bits(levels, packed, at + QS)


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 256 * 84] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // SUPER_BLOCK):
        at = block * BLOCK_BYTES
        d = load_half(source, at + D)
        dmin = load_half(source, at + DMIN)
        for j in range(SUB_BLOCKS):
            scale = d * F(source[at + j] & 15)
            low = dmin * F(source[at + j] >> 4)
            levels = at + QS + j // 8 * 32 + j % 2 * SUB_BLOCK
            shift = j // 2 % 4 * 2
            start = block * SUPER_BLOCK + j * SUB_BLOCK
            for i in range(SUB_BLOCK):
                flat[start + i] = scale * F(source[levels + i] >> shift & 3) - low


Q2_K = BlockFormat(GGMLQuantizationType.Q2_K, SUPER_BLOCK, BLOCK_BYTES, quantize, dequantize)
