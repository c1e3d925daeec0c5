"""Q6_K: 6.5625 bits per weight; x = d * scale * level, level -32..31 kept as 0..63.

A super-block of 256 weights, 16 sub-blocks of 16, 210 bytes; per half of 128 weights (h = 0, 1; l = 0..31):

    0    ql     128 bytes: byte 64 h + l holds the low 4 bits of elements 128 h + l and + 64;
                byte 64 h + 32 + l those of elements 128 h + 32 + l and + 64
    128  qh     64 bytes: byte 32 h + l holds the high 2 bits of elements 128 h + l + 32 p, p = 0..3
    192  scales 16 int8
    208  d      float16
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import clamped_int, load_half, nearest_int, store_half, to_half
from quantize_cli.formats._k_pack import pack_two_bits
from quantize_cli.formats._lanes import LANES, Lanes, load_lanes
from quantize_cli.formats._symmetric import (
    BOTTOM,
    FIT_SIZE,
    GROUP_MAX_EPS,
    INVERSE,
    SCALE,
    SUB_BLOCK,
    TOP,
    search_symmetric,
    signed_level,
)
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
SUPER_BLOCK = 256
SUB_BLOCKS = 16
BLOCK_BYTES = 210
QH, SCALES, D = 128, 192, 208


@kernel
def _encode_levels(values: Lanes, fit: Lanes, lane: int, block: Packed, at: int, levels: Packed) -> None:
    """Levels 0..63 under the stored scales; a sub-block with stored scale 0 keeps the levels of the search."""
    d = load_half(block, at + D)
    scales = np.empty(SUPER_BLOCK, np.float32)
    for j in range(SUB_BLOCKS):
        scales[j * SUB_BLOCK : (j + 1) * SUB_BLOCK] = d * F(np.int8(block[at + SCALES + j]))
    for i in range(SUPER_BLOCK):
        levels[i] = clamped_int(values[i] / scales[i], np.int32(BOTTOM), np.int32(TOP)) - np.int32(BOTTOM)
    for j in range(SUB_BLOCKS):
        start = j * SUB_BLOCK
        if scales[start] == F(0):
            inverse = fit[INVERSE + lane + j]
            for i in range(start, start + SUB_BLOCK):
                level = 0 if inverse == F(0) else np.int32(signed_level(inverse * values[i])) - BOTTOM
                levels[i] = np.uint8(level)


@kernel
def _encode_block(values: Lanes, fit: Lanes, lane: int, out: Packed, at: int, levels: Packed) -> None:
    largest = F(0)
    for j in range(SUB_BLOCKS):
        scale = fit[SCALE + lane + j]
        largest = scale if abs(scale) > abs(largest) else largest
    if abs(largest) < GROUP_MAX_EPS:
        out[at : at + BLOCK_BYTES] = 0
        return
    inverse = F(-128) / largest
    store_half(out, at + D, to_half(F(1) / inverse))
    for j in range(SUB_BLOCKS):
        out[at + SCALES + j] = np.uint8(min(127, int(nearest_int(inverse * fit[SCALE + lane + j]))))
    _encode_levels(values, fit, lane, out, at, levels)
    for half in range(2):
        for i in range(64):
            low = levels[128 * half + i] & 15
            high = levels[128 * half + 64 + i] & 15
            out[at + 64 * half + i] = low | high << 4
    for i in range(SUPER_BLOCK):
        levels[i] >>= 4
    pack_two_bits(levels, out, at + QH)


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 256 * 210]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    x = np.empty(SUB_BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    levels = np.empty(SUPER_BLOCK, np.uint8)
    blocks = flat.size // SUPER_BLOCK
    for first in range(0, blocks, LANES // SUB_BLOCKS):
        load_lanes(flat, first * SUB_BLOCKS, SUB_BLOCK, x)
        search_symmetric(x, fit)
        for block in range(first, min(blocks, first + LANES // SUB_BLOCKS)):
            lane = (block - first) * SUB_BLOCKS
            values = flat[block * SUPER_BLOCK : (block + 1) * SUPER_BLOCK]
            _encode_block(values, fit, lane, packed, block * BLOCK_BYTES, levels)


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 256 * 210] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // SUPER_BLOCK):
        at = block * BLOCK_BYTES
        d = load_half(source, at + D)
        for j in range(SUB_BLOCKS):
            half, quarter, odd = j // 8, j // 2 % 4, j % 2 * SUB_BLOCK
            low = at + 64 * half + quarter % 2 * 32 + odd
            high = at + QH + 32 * half + odd
            low_shift, high_shift = quarter // 2 * 4, quarter * 2
            scale = d * F(np.int8(source[at + SCALES + j]))
            start = block * SUPER_BLOCK + j * SUB_BLOCK
            for i in range(SUB_BLOCK):
                level = (source[low + i] >> low_shift & 15) | (source[high + i] >> high_shift & 3) << 4
                flat[start + i] = scale * F(np.int32(level) + BOTTOM)


Q6_K = BlockFormat(GGMLQuantizationType.Q6_K, SUPER_BLOCK, BLOCK_BYTES, quantize, dequantize)
