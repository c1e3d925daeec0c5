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

from quantize_cli.formats._affine import FIT_SIZE, MIN, SCALE, AffineSearch, search_affine, searched_levels
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, nearest_int, store_half, to_half
from quantize_cli.formats._k_pack import pack_two_bits, round_levels
from quantize_cli.formats._k_scales import Work, new_work
from quantize_cli.formats._lanes import LANES, Lanes, load_lanes
from quantize_cli.formats.base import BlockFormat, Blocks, Packed

F = np.float32
SUPER_BLOCK = 256
SUB_BLOCK = 16
SUB_BLOCKS = 16
BLOCK_BYTES = 84
TOP = 3
QS, D, DMIN = 16, 80, 82
SEARCH = AffineSearch(size=SUB_BLOCK, top=F(TOP), first=F(-0.5), step=F(0.1), steps=16, absolute=True)


@kernel
def _encode_scales(fit: Lanes, lane: int, out: Packed) -> None:
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
        out[j] = np.uint8(scale | low << 4)  # a negative scale wraps, and spoils the min's bits: so it does there
    store_half(out, D, to_half(max_scale / F(15)))
    store_half(out, DMIN, to_half(max_min / F(15)))


@kernel
def _encode_levels(values: Lanes, fit: Lanes, lane: int, block: Packed, work: Work) -> None:
    """Levels under the stored scales and mins; a sub-block with stored scale 0 keeps the levels of the search."""
    d = load_half(block, D)
    dmin = load_half(block, DMIN)
    for j in range(SUB_BLOCKS):
        scale = d * F(block[j] & 15)
        low = dmin * F(block[j] >> 4)
        for i in range(j * SUB_BLOCK, (j + 1) * SUB_BLOCK):
            work.scale[i] = scale
            work.low[i] = low
    round_levels(values, work.low, work.scale, np.int32(TOP), work.levels)
    for j in range(SUB_BLOCKS):
        start = j * SUB_BLOCK
        if work.scale[start] == F(0):
            stop = start + SUB_BLOCK
            searched_levels(values[start:stop], fit, lane + j, F(TOP), work.levels[start:stop])
    pack_two_bits(work.levels, block[QS:D])


@kernel
def pack(blocks: Blocks, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 84]."""
    flat = blocks.reshape(-1)
    x = np.empty(SUB_BLOCK * LANES, np.float32)
    w = np.empty(SUB_BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    work = new_work()
    for first in range(0, blocks.shape[0], LANES // SUB_BLOCKS):
        load_lanes(flat, first * SUB_BLOCKS, SUB_BLOCK, x)
        for i in range(SUB_BLOCK * LANES):
            w[i] = abs(x[i])
        search_affine(x, w, fit, SEARCH)
        for number in range(first, min(blocks.shape[0], first + LANES // SUB_BLOCKS)):
            lane = (number - first) * SUB_BLOCKS
            _encode_scales(fit, lane, out[number])
            _encode_levels(blocks[number], fit, lane, out[number], work)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 84] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, D)
        dmin = load_half(block, DMIN)
        for plane in range(8):
            even, odd = block[2 * plane], block[2 * plane + 1]
            levels, shift = QS + plane // 4 * 32, plane % 4 * 2
            for i in range(32):
                scale = d * (F(even & 15) if i < SUB_BLOCK else F(odd & 15))
                low = dmin * (F(even >> 4) if i < SUB_BLOCK else F(odd >> 4))
                values[32 * plane + i] = scale * F(block[levels + i] >> shift & 3) - low


Q2_K = BlockFormat(GGMLQuantizationType.Q2_K, SUPER_BLOCK, BLOCK_BYTES, pack, unpack)
