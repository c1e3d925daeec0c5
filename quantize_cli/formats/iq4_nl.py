"""IQ4_NL: 4.5 bits per weight; x = d * VALUES[level], level 0..15 in a non-linear table.

A block of 32 weights, 18 bytes:

    0    d   float16
    2    qs  16 bytes: byte i holds level i (low 4 bits) and level i + 16 (high 4 bits)
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, store_half, to_half
from quantize_cli.formats._iq4 import BLOCK, FIT_SIZE, SCALE, decode_nibbles, encode_nearest, search_scale
from quantize_cli.formats._lanes import LANES, load_lanes
from quantize_cli.formats._simple import pack_nibbles
from quantize_cli.formats.base import BlockFormat, Blocks, Packed

F = np.float32
BLOCK_BYTES = 18


@kernel
def pack(blocks: Blocks, out: Packed) -> None:
    """Blocks float32[n, 32] -> out uint8[n, 18]."""
    flat = blocks.reshape(-1)
    x = np.empty(BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    levels = np.empty(blocks.shape[1], np.uint8)
    for first in range(0, blocks.shape[0], LANES):
        load_lanes(flat, first, BLOCK, x)
        search_scale(x, fit)
        for number in range(first, min(blocks.shape[0], first + LANES)):
            block = out[number]
            d = fit[SCALE + number - first]
            store_half(block, 0, to_half(d))
            encode_nearest(blocks[number], F(1) / d if d != F(0) else F(0), levels)
            pack_nibbles(levels, block[2:])


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 18] -> out float32[n, 32]."""
    for number in range(packed.shape[0]):
        block = packed[number]
        decode_nibbles(block[2:], load_half(block, 0), out[number])


IQ4_NL = BlockFormat(GGMLQuantizationType.IQ4_NL, BLOCK, BLOCK_BYTES, pack, unpack)
