"""Q2_0: 2.25 bits per weight; x = d * (level - 1), level 0..3, of which quantizing gives 0..2.

A block of 64 weights, 18 bytes:

    0    d   float16, the largest magnitude
    2    qs  16 bytes: byte i holds elements 4i to 4i + 3, two bits each, the first in the lowest
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.search.inverses import finite_inverse
from quantize_cli.simd.compile import kernel, kernel_and_part
from quantize_cli.simd.extremes import largest_magnitude
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.rounding import rounded_away
from quantize_cli.simd.vector import LANES, load, load_crumbs, store, store_crumbs, to_floats

F = np.float32
I = np.int32  # noqa: E741
BLOCK = 64
BLOCK_BYTES = 18
QS = 2
PARTS = BLOCK // LANES
PART_BYTES = LANES // 4


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 64] into out, uint8[n, 18]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    for number in range(blocks.shape[0]):
        at = number * BLOCK_BYTES
        d = largest_magnitude(values, number * BLOCK, BLOCK)
        store_half(packed, at, to_half(d))
        inverse = finite_inverse(d)
        # Where 1 / d is infinite, the reference's conversion of such a level gives the lowest.
        zero = I(0) if d > F(0) and inverse == F(0) else I(1)
        for part in range(PARTS):
            x = load(values, number * BLOCK + part * LANES)
            store_crumbs(packed, at + QS + part * PART_BYTES, rounded_away(x * inverse) + zero)


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 18] into out, float32[n, 64]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        d = load_half(blocks, at)
        for part in range(PARTS):
            levels = load_crumbs(blocks, at + QS + part * PART_BYTES) - I(1)
            store(values, number * BLOCK + part * LANES, to_floats(levels) * d)


Q2_0 = BlockType("Q2_0", pack, unpack)
