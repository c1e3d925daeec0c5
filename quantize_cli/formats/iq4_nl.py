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
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
BLOCK_BYTES = 18


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 32 * 18]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    x = np.empty(BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    levels = np.empty(BLOCK, np.uint8)
    blocks = flat.size // BLOCK
    for first in range(0, blocks, LANES):
        load_lanes(flat, first, BLOCK, x)
        search_scale(x, fit)
        for block in range(first, min(blocks, first + LANES)):
            at = block * BLOCK_BYTES
            d = fit[SCALE + block - first]
            inverse = F(1) / d if d != F(0) else F(0)
            store_half(packed, at, to_half(d))
            encode_nearest(flat[block * BLOCK : (block + 1) * BLOCK], inverse, levels)
            pack_nibbles(levels, packed[at + 2 : at + BLOCK_BYTES])


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 32 * 18] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // BLOCK):
        at = block * BLOCK_BYTES
        decode_nibbles(
            source[at + 2 : at + BLOCK_BYTES], load_half(source, at), flat[block * BLOCK : (block + 1) * BLOCK]
        )


IQ4_NL = BlockFormat(GGMLQuantizationType.IQ4_NL, BLOCK, BLOCK_BYTES, quantize, dequantize)
