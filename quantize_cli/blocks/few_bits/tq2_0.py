"""TQ2_0: 2.06 bits per weight, for weights that are -d, 0 or d; x = d * (level - 1), level 0..2.

A block of 256 weights, 66 bytes:

    0    qs  64 bytes: byte 32 h + l holds elements 128 h + l + 32 p, p = 0..3, in bits 2p and 2p + 1
    64   d   float16, the largest magnitude
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.search.inverses import finite_inverse
from quantize_cli.simd.compile import kernel, kernel_and_part
from quantize_cli.simd.extremes import largest_magnitude
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.rounding import rounded_away
from quantize_cli.simd.vector import LANES, load, load_bytes, splat_int, store, store_bytes, to_floats

I = np.int32  # noqa: E741
BLOCK = 256
BLOCK_BYTES = 66
D = 64


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 66]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    for number in range(blocks.shape[0]):
        start, at = number * BLOCK, number * BLOCK_BYTES
        d = largest_magnitude(values, start, BLOCK)
        inverse = finite_inverse(d)
        for half in range(2):
            quarters = splat_int(I(0))
            for p in range(4):
                levels = rounded_away(load(values, start + (4 * half + p) * LANES) * inverse) + I(1)
                quarters = quarters | levels << I(2 * p)
            store_bytes(packed, at + half * LANES, quarters)
        store_half(packed, at + D, to_half(d))


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 66] into out, float32[n, 256]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        start, at = number * BLOCK, number * BLOCK_BYTES
        d = load_half(blocks, at + D)
        for half in range(2):
            quarters = load_bytes(blocks, at + half * LANES)
            for p in range(4):
                levels = ((quarters >> I(2 * p)) & I(3)) - I(1)
                store(values, start + (4 * half + p) * LANES, to_floats(levels) * d)


TQ2_0 = BlockType("TQ2_0", pack, unpack)
