"""What the formats of 32-weight blocks without a search share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel, part
from quantize_cli.formats._lanes import Lanes

F = np.float32
#: A block's float32 values as integers.
Bits: TypeAlias = NDArray[np.int32]


@kernel
def inverse_or_zero(d: np.float32) -> np.float32:
    """1 / d, or 0 where that is infinite or d is 0: the reference's conversion of an infinite level gives 0 too."""
    inverse = F(1) / d
    return F(inverse) if abs(inverse) < F(np.inf) else F(0)


@kernel
def round_away(value: np.float32) -> np.float32:
    """C's roundf: half away from zero."""
    whole = np.trunc(value)
    return F(whole + np.copysign(F(1), value)) if abs(value - whole) >= F(0.5) else F(whole)


@part
def largest_magnitude(bits: Bits) -> np.float32:
    """The largest |x| of a block, given as the bits of its float32 values.

    As integers magnitudes keep their order, and a maximum of integers is vectorised; one of floats, which must mind
    NaN, is not.
    """
    largest = np.int32(0)
    for i in range(bits.size):
        magnitude = np.int32(bits[i] & np.int32(0x7FFFFFFF))
        largest = magnitude if magnitude > largest else largest
    return F(np.int32(largest).view(np.float32))


@part
def extreme_of(bits: Bits) -> np.float32:
    """The first value of the largest magnitude, given the bits of all; +0 if all are zeros of either sign."""
    largest = np.int32(F(largest_magnitude(bits)).view(np.int32))
    size = np.int32(bits.size)
    first = size
    for i in range(bits.size):
        place = np.int32(i) if np.int32(bits[i] & np.int32(0x7FFFFFFF)) == largest else size
        first = place if place < first else first
    return F(np.int32(bits[first]).view(np.float32)) if largest > 0 else F(0)


@kernel
def _ordered(bits: np.int32) -> np.int32:
    """The bits of a float32 <-> an integer that sorts as the float does, with -0 below +0."""
    return np.int32(bits ^ np.int32(np.int32(bits >> 31) & np.int32(0x7FFFFFFF)))


@part
def extent(bits: Bits) -> tuple[np.float32, np.float32]:
    """Minimum and maximum of a block, given as the bits of its values; of several zeros the first is the minimum."""
    low = np.int32(0x7FFFFFFF)
    high = np.int32(-0x80000000)
    for i in range(bits.size):
        key = _ordered(bits[i])
        low = key if key < low else low
        high = key if key > high else high
    minimum = F(np.int32(_ordered(low)).view(np.float32))
    if minimum == F(0):
        for i in range(bits.size):
            value = F(np.int32(bits[i]).view(np.float32))
            if value == F(0):
                minimum = value
                break
    return minimum, F(np.int32(_ordered(high)).view(np.float32))


@part
def shifted_levels(values: Lanes, d: np.float32, shift: np.float32, top: np.int32, levels: NDArray[np.uint8]) -> None:
    """Levels trunc(x / d + shift), at most `top`; all 0 where 1 / d is infinite."""
    inverse = F(1) / d if d != F(0) else F(0)
    if abs(inverse) == F(np.inf):
        inverse, shift = F(0), F(0)
    for i in range(values.size):
        level = np.int32(values[i] * inverse + shift)
        levels[i] = level if level < top else top


@part
def pack_nibbles(levels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """32 levels -> 16 bytes: byte i holds the low 4 bits of level i and, in its high half, of level i + 16."""
    half = levels.size // 2
    for i in range(half):
        out[i] = (levels[i] & 15) | (levels[i + half] & 15) << 4


@part
def store_fifth_bits(levels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Write bit 4 of each of 32 levels as 32 bits into 4 bytes, little-endian: level i at bit i."""
    bits = np.uint32(0)
    for i in range(levels.size):
        bits = np.uint32(bits | np.uint32(np.uint32(levels[i] >> 4) << np.uint32(i)))
    for byte in range(4):
        out[byte] = np.uint8(bits >> np.uint32(8 * byte) & np.uint32(0xFF))


@part
def load_fifth_bits(packed: NDArray[np.uint8]) -> np.uint32:
    """The 32 bits of 4 bytes, little-endian."""
    low = np.uint32(packed[0]) | np.uint32(packed[1]) << np.uint32(8)
    high = np.uint32(packed[2]) | np.uint32(packed[3]) << np.uint32(8)
    return np.uint32(low | high << np.uint32(16))
