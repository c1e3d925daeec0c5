"""NVFP4: 4.5 bits per weight; x = d * value, value 0, 1, 2, 3, 4, 6, 8 or 12 of either sign.

A block of 64 weights, 4 sub-blocks of 16, 36 bytes:

    0    d   4 numbers of UE4M3: 4 bits of exponent (bias 7), 3 of mantissa; 2 d of each sub-block
    4    qs  32 bytes: byte 8 s + i holds elements i (low 4 bits) and i + 8 (high 4 bits) of sub-block s (e2m1.py)
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.fp4.e2m1 import fp4_levels, fp4_values
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.extremes import largest_of, magnitudes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    lane_numbers,
    load,
    load_nibbles,
    middle_swapped,
    select,
    splat,
    store,
    store_nibbles,
)

F = np.float32
I = np.int32  # noqa: E741
BLOCK = 64
SUB_BLOCK = 16
BLOCK_BYTES = 36
QS = 4
LARGEST, TOO_LARGE = 0x7E, 0x78  #: 448 and 256
NAN = 0x7F
#: The largest value, in scales, that `fp4_levels` calls in reach.
REACH = F(2.0**22)


@inner
def to_ue4m3(value: np.float32) -> np.int32:
    """Round to the nearest UE4M3, half way up, as its bits; what rounds to 256 or more is 448, as in the reference."""
    if value >= F(2.0**-6):
        # Adding half a step carries into the exponent where the mantissa is full.
        code = ((I(F(value).view(np.int32)) + (1 << 19)) >> 20) - ((127 - 7) << 3)
        return I(code if code < TOO_LARGE else LARGEST)
    return I(min(int(value * F(2.0**9) + F(0.5)), 7))


@inner
def from_ue4m3(bits: np.int32) -> np.float32:
    """Halve the UE4M3 of those bits; NaN counts as 0."""
    if bits == NAN:
        return F(0)
    exponent, mantissa = bits >> 3 & 15, bits & 7
    if exponent == 0:
        return F(mantissa) * F(2.0**-10)
    return F(I((exponent - 8 + 127) << 23 | mantissa << 20).view(np.float32))


@inner
def _of_halves(low: np.float32, high: np.float32) -> Floats:
    """Put `low` into the first half of the lanes and `high` into the second."""
    halves: Floats = select(lane_numbers() < I(SUB_BLOCK), low, splat(high))
    return halves


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 64] into out, uint8[n, 36]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    for number in range(blocks.shape[0]):
        at = number * BLOCK_BYTES
        for pair in range(2):
            x = load(values, number * BLOCK + pair * LANES)
            bits = magnitudes(x)
            first = lane_numbers() < I(SUB_BLOCK)
            largest = largest_of(select(first, bits, I(0))), largest_of(select(first, I(0), bits))
            codes = to_ue4m3(largest[0] / F(6)), to_ue4m3(largest[1] / F(6))
            packed[at + 2 * pair] = np.uint8(codes[0])
            packed[at + 2 * pair + 1] = np.uint8(codes[1])
            low, high = from_ue4m3(codes[0]), from_ue4m3(codes[1])
            in_reach = bool(largest[0] <= REACH * low and largest[1] <= REACH * high)
            levels = fp4_levels(x, _of_halves(low, high), in_reach)
            store_nibbles(packed, at + QS + pair * SUB_BLOCK, middle_swapped(levels))


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 36] into out, float32[n, 64]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        for pair in range(2):
            low, high = I(blocks[at + 2 * pair]), I(blocks[at + 2 * pair + 1])
            d = _of_halves(from_ue4m3(low), from_ue4m3(high))
            levels = middle_swapped(load_nibbles(blocks, at + QS + pair * SUB_BLOCK))
            store(values, number * BLOCK + pair * LANES, fp4_values(levels) * d)


NVFP4 = BlockType("NVFP4", pack, unpack)
