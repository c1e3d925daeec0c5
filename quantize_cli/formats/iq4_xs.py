"""IQ4_XS: 4.25 bits per weight; x = d * (scale - 32) * VALUES[level], level 0..15 in a non-linear table.

A super-block of 256 weights, 8 blocks of 32, 136 bytes:

    0    d         float16
    2    scales_h  16 bits: bits 2j and 2j + 1 are the high 2 bits of scale j
    4    scales_l  4 bytes: byte p holds the low 4 bits of scale 2p and, in its high half, of scale 2p + 1
    8    qs        128 bytes: byte 16 j + i holds levels i (low 4 bits) and i + 16 (high 4 bits) of block j
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import clamped_int, load_half, store_half, to_half
from quantize_cli.formats._iq4 import BLOCK, FIT_SIZE, SCALE, decode_nibbles, encode_nearest, search_scale
from quantize_cli.formats._lanes import LANES, Lanes, load_lanes
from quantize_cli.formats._simple import pack_nibbles
from quantize_cli.formats.base import BlockFormat, Blocks, Packed

F = np.float32
SUPER_BLOCK = 256
BLOCKS = 8
BLOCK_BYTES = 136
SCALES_H, SCALES_L, QS = 2, 4, 8


@kernel
def _encode_block(values: Lanes, scales: Lanes, out: Packed, levels: Packed) -> None:
    largest = F(0)
    for j in range(BLOCKS):
        largest = scales[j] if abs(scales[j]) > abs(largest) else largest
    d = -largest / F(32)
    inverse = F(1) / d if d != F(0) else F(0)
    store_half(out, 0, to_half(d))
    out[SCALES_H:QS] = 0
    for j in range(BLOCKS):
        scale = clamped_int(inverse * scales[j], np.int32(-32), np.int32(31))
        step = d * F(scale)  # the unrounded d, as in the reference
        encode_nearest(values[j * BLOCK : (j + 1) * BLOCK], F(1) / step if step != F(0) else F(0), levels)
        pack_nibbles(levels, out[QS + 16 * j : QS + 16 * (j + 1)])
        out[SCALES_L + j // 2] |= (scale + 32 & 15) << 4 * (j % 2)
        out[SCALES_H + j // 4] |= (scale + 32 >> 4) << 2 * (j % 4)


@kernel
def pack(blocks: Blocks, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 136]."""
    flat = blocks.reshape(-1)
    x = np.empty(BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    levels = np.empty(BLOCK, np.uint8)
    for first in range(0, blocks.shape[0], LANES // BLOCKS):
        load_lanes(flat, first * BLOCKS, BLOCK, x)
        search_scale(x, fit)
        for number in range(first, min(blocks.shape[0], first + LANES // BLOCKS)):
            lane = SCALE + (number - first) * BLOCKS
            _encode_block(blocks[number], fit[lane : lane + BLOCKS], out[number], levels)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 136] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        for j in range(BLOCKS):
            low = block[SCALES_L + j // 2] >> 4 * (j % 2) & 15
            high = block[SCALES_H + j // 4] >> 2 * (j % 4) & 3
            scale = d * F(np.int32(low | high << 4) - 32)
            decode_nibbles(block[QS + 16 * j : QS + 16 * (j + 1)], scale, values[j * BLOCK : (j + 1) * BLOCK])


IQ4_XS = BlockFormat(GGMLQuantizationType.IQ4_XS, SUPER_BLOCK, BLOCK_BYTES, pack, unpack)
