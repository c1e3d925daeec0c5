"""TQ1_0: 1.69 bits per weight, for weights that are -d, 0 or d; x = d * (level - 1), level 0..2.

A block of 256 weights, 54 bytes:

    0    qs  48 bytes of five levels each: byte l holds elements l + 32 p (l < 32) and byte 32 + l elements
             160 + l + 16 p (l < 16), p = 0..4
    48   qh  4 bytes of four levels each: byte l holds elements 240 + l + 4 p, p = 0..3
    52   d   float16, the largest magnitude

A byte is the number that its levels are the digits of in base 3, the first the most significant (in qh a fifth is 0),
times 256 / 243 and rounded up: multiplied by 3 its excess over a byte is one digit after the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.search.inverses import finite_inverse
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.extremes import largest_magnitude
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.rounding import rounded_away
from quantize_cli.simd.vector import (
    LANES,
    load,
    load_bytes,
    splat_int,
    store,
    store_bytes,
    store_ints,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741
BLOCK = 256
BLOCK_BYTES = 54
QH, D = 48, 52
DIGITS = 5
HALF = LANES // 2
#: First elements of the bytes 32 to 47, and of qh.
SECOND, LAST = 160, 240
LAST_BYTES = 4


@inner
def _store_numbers(
    values: NDArray[np.float32], start: int, step: int, inverse: np.float32, out: Packed, at: int
) -> None:
    """Pack LANES bytes, the five levels of each lying `step` elements apart."""
    number = splat_int(I(0))
    for p in range(DIGITS):
        number = number * I(3) + rounded_away(load(values, start + p * step) * inverse) + I(1)
    # What 256 / 243 adds, rounded up: (13 * number + 242) / 243, as a multiplication.
    store_bytes(out, at, number + (((number * I(13) + I(242)) * I(4316)) >> I(20)))


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 54]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    levels = np.empty(LANES, np.int32)
    for number in range(blocks.shape[0]):
        start, at = number * BLOCK, number * BLOCK_BYTES
        d = largest_magnitude(values, start, BLOCK)
        inverse = finite_inverse(d)
        # Bytes 32 to 47 are in the upper lanes; what the lower ones leave is overwritten.
        _store_numbers(values, start + SECOND - HALF, HALF, inverse, packed, at + HALF)
        _store_numbers(values, start, LANES, inverse, packed, at)
        store_ints(levels, 0, rounded_away(load(values, start + BLOCK - LANES) * inverse) + I(1))
        for i in range(LAST_BYTES):
            last = 0
            for p in range(DIGITS - 1):
                last = last * 3 + levels[HALF + p * LAST_BYTES + i]
            packed[at + QH + i] = np.uint8((last * 3 * 256 + 242) // 243)
        store_half(packed, at + D, to_half(d))


@inner
def _load_numbers(packed: Packed, at: int, d: np.float32, out: NDArray[np.float32], start: int, step: int) -> None:
    """Unpack what `_store_numbers` packed; the last levels come first."""
    for p in range(DIGITS - 1, -1, -1):
        rest = (load_bytes(packed, at) * I(3**p)) & I(255)
        store(out, start + p * step, to_floats(((rest * I(3)) >> I(8)) - I(1)) * d)


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 54] into out, float32[n, 256]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        start, at = number * BLOCK, number * BLOCK_BYTES
        d = load_half(blocks, at + D)
        _load_numbers(blocks, at + HALF, d, values, start + SECOND - HALF, HALF)
        _load_numbers(blocks, at, d, values, start, LANES)
        for i in range(LAST_BYTES):
            rest = I(blocks[at + QH + i])
            for p in range(DIGITS - 1):
                values[start + LAST + p * LAST_BYTES + i] = F((rest * 3 >> 8) - 1) * d
                rest = rest * 3 & 255


TQ1_0 = BlockType("TQ1_0", pack, unpack)
