"""MXFP4: 4.25 bits per weight; x = 2^(e - 128) * value, value 0, 1, 2, 3, 4, 6, 8 or 12 of either sign.

A block of 32 weights, 17 bytes:

    0    e   E8M0, a power of two: the exponent of the largest magnitude, minus 2, plus 127
    1    qs  16 bytes: byte i holds level i (low 4 bits) and level i + 16 (high 4 bits), see e2m1.py
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.fp4.e2m1 import fp4_levels, fp4_values
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.extremes import largest_of, magnitudes
from quantize_cli.simd.vector import load, load_nibbles, splat, store, store_nibbles

F = np.float32
I = np.int32  # noqa: E741
BLOCK = 32
BLOCK_BYTES = 17
QS = 1
BIAS = 127
#: Of the largest value, 6, of a 4-bit float that is not doubled.
LARGEST_EXPONENT = 2


@inner
def floor_log2(value: np.float32) -> np.int32:
    """Compute floorf(log2f(value)) of a positive number as C does.

    Just below a power of two log2f already rounds to its exponent. The logarithm of 2^k * (1 - n / 2^24) is
    k - n / 2^24 / ln(2), and becomes k where that is less than half of the distance between k and the next float32
    towards zero (k > 0) or away from it: for |k| = 100, up to n = 44.
    """
    subnormal = value < F(2.0**-126)
    bits = I(F(value * F(2.0**24) if subnormal else value).view(np.int32))
    above = (bits >> 23) - (150 if subnormal else 126)
    below_power = (1 << 23) - (bits & 0x7FFFFF)
    size = I(F(max(above - 1, -above)).view(np.int32) & 0x7F800000)
    return I(above if F(below_power) < F(size.view(np.float32)) * F(np.log(2.0)) else above - 1)


@inner
def scale_of(e: np.int32) -> np.float32:
    """Compute 2^(e - 128)."""
    return F(I((e - 1) << 23 if e > 1 else 0x200000 << e).view(np.float32))


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 32] into out, uint8[n, 17]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    for number in range(blocks.shape[0]):
        x, at = load(values, number * BLOCK), number * BLOCK_BYTES
        largest = largest_of(magnitudes(x))
        # Below 0 the exponent wraps, as in the reference.
        e = (floor_log2(largest) - LARGEST_EXPONENT + BIAS) & 255 if largest > F(0) else 0
        packed[at] = np.uint8(e)
        d = scale_of(I(e))
        store_nibbles(packed, at + QS, fp4_levels(x, splat(d), bool(F(12) * d < F(np.inf))))


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 17] into out, float32[n, 32]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        d = scale_of(I(blocks[at]))
        store(values, number * BLOCK, fp4_values(load_nibbles(blocks, at + QS)) * d)


#: 255 is not a number in E8M0; blocks whose weights are all below 2^-125 get it.
MXFP4 = BlockType("MXFP4", pack, unpack, invalid_byte=(0, 255))
