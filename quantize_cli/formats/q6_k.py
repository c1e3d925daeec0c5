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
from quantize_cli.formats._half import load_half, nearest_int, store_half, to_half
from quantize_cli.formats._k_pack import pack_two_bits, round_signed_levels
from quantize_cli.formats._k_scales import Work, new_work
from quantize_cli.formats._lanes import LANES, Lanes, load_lanes
from quantize_cli.formats._simple import pack_nibbles
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
from quantize_cli.formats.base import BlockFormat, Blocks, Packed

F = np.float32
SUPER_BLOCK = 256
SUB_BLOCKS = 16
BLOCK_BYTES = 210
QH, SCALES, D = 128, 192, 208


@kernel
def _encode_levels(values: Lanes, fit: Lanes, lane: int, block: Packed, work: Work) -> None:
    """Levels 0..63 under the stored scales; a sub-block with stored scale 0 keeps the levels of the search."""
    d = load_half(block, D)
    for j in range(SUB_BLOCKS):
        scale = d * F(np.int8(block[SCALES + j]))
        for i in range(j * SUB_BLOCK, (j + 1) * SUB_BLOCK):
            work.scale[i] = scale
    round_signed_levels(values, work.scale, np.int32(BOTTOM), np.int32(TOP), work.levels)
    for j in range(SUB_BLOCKS):
        start = j * SUB_BLOCK
        if work.scale[start] == F(0):
            inverse = fit[INVERSE + lane + j]
            for i in range(start, start + SUB_BLOCK):
                level = np.int32(signed_level(inverse * values[i], F(BOTTOM), F(TOP))) - BOTTOM
                work.levels[i] = np.uint8(0 if inverse == F(0) else level)


@kernel
def _encode_block(values: Lanes, fit: Lanes, lane: int, out: Packed, work: Work) -> None:
    largest = F(0)
    for j in range(SUB_BLOCKS):
        scale = fit[SCALE + lane + j]
        largest = scale if abs(scale) > abs(largest) else largest
    if abs(largest) < GROUP_MAX_EPS:
        out[:] = 0
        return
    inverse = F(-128) / largest
    store_half(out, D, to_half(F(1) / inverse))
    for j in range(SUB_BLOCKS):
        out[SCALES + j] = np.uint8(min(127, int(nearest_int(inverse * fit[SCALE + lane + j]))) & 0xFF)
    _encode_levels(values, fit, lane, out, work)
    for half in range(2):
        pack_nibbles(work.levels[128 * half : 128 * (half + 1)], out[64 * half : 64 * (half + 1)])
    for i in range(work.levels.size):
        work.levels[i] >>= 4
    pack_two_bits(work.levels, out[QH:SCALES])


@kernel
def pack(blocks: Blocks, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 210]."""
    flat = blocks.reshape(-1)
    x = np.empty(SUB_BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    work = new_work()
    for first in range(0, blocks.shape[0], LANES // SUB_BLOCKS):
        load_lanes(flat, first * SUB_BLOCKS, SUB_BLOCK, x)
        search_symmetric(x, fit)
        for number in range(first, min(blocks.shape[0], first + LANES // SUB_BLOCKS)):
            _encode_block(blocks[number], fit, (number - first) * SUB_BLOCKS, out[number], work)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 210] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, D)
        for plane in range(8):
            half, quarter = plane // 4, plane % 4
            low, low_shift = 64 * half + quarter % 2 * 32, quarter // 2 * 4
            high, high_shift = QH + 32 * half, quarter * 2
            first = d * F(np.int8(block[SCALES + 2 * plane]))
            second = d * F(np.int8(block[SCALES + 2 * plane + 1]))
            for i in range(32):
                level = (block[low + i] >> low_shift & 15) | (block[high + i] >> high_shift & 3) << 4
                values[32 * plane + i] = (first if i < SUB_BLOCK else second) * F(np.int32(level) + np.int32(BOTTOM))


Q6_K = BlockFormat(GGMLQuantizationType.Q6_K, SUPER_BLOCK, BLOCK_BYTES, pack, unpack)
