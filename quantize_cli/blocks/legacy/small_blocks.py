"""What the formats of small blocks without sub-blocks share: one vector is 32 neighbouring elements of one block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    Mask,
    bits_of,
    from_bits,
    lane_bits,
    load,
    load_mask,
    load_nibbles,
    max_lane,
    min_lane,
    select,
    splat_int,
    store_mask,
    store_nibbles,
    to_ints,
)

F = np.float32
I = np.int32  # noqa: E741
#: Elements of a block of the oldest formats: one vector.
BLOCK = 32
_SIGN = I(-0x80000000)
_JUST_BELOW_HALF = I(0x3EFFFFFF)


@inner
def inverse_or_zero(d: np.float32) -> np.float32:
    """1 / d, or 0 where that is infinite or d is 0: the reference's conversion of an infinite level gives 0 too."""
    inverse = F(1) / d
    return F(inverse) if abs(inverse) < F(np.inf) else F(0)


@inner
def magnitudes(vector: Floats) -> Ints:
    """The bits of |x|: as integers magnitudes keep their order."""
    return bits_of(vector) & I(0x7FFFFFFF)


@inner
def largest_of(bits: Ints) -> np.float32:
    """The largest magnitude, given the bits of all."""
    return F(I(max_lane(bits)).view(np.float32))


@inner
def largest_in_block(values: NDArray[np.float32], start: int, size: int) -> np.float32:
    """The largest magnitude of `size` values from `start` on, a multiple of LANES."""
    largest = splat_int(I(0))
    for i in range(start, start + size, LANES):
        bits = magnitudes(load(values, i))
        largest = select(bits > largest, bits, largest)
    return largest_of(largest)


@inner
def _first_is_negative(vector: Floats, mask: Mask) -> bool:
    """Whether the first of the lanes in the mask has its sign bit set."""
    chosen = lane_bits(mask)
    return bool(chosen & -chosen & lane_bits(bits_of(vector) < I(0)))


@inner
def extreme_of(vector: Floats) -> np.float32:
    """The first value of the largest magnitude; +0 if all are zeros of either sign."""
    bits = magnitudes(vector)
    largest = max_lane(bits)
    value = F(I(largest).view(np.float32))
    negative = largest > 0 and _first_is_negative(vector, bits == largest)
    return -value if negative else value


@inner
def _ordered(bits: Ints) -> Ints:
    """The bits of float32 values <-> integers that sort as the floats do, with -0 below +0."""
    return bits ^ ((bits >> I(31)) & I(0x7FFFFFFF))


@inner
def _from_ordered(key: np.int32) -> np.float32:
    return F(I(key ^ ((key >> 31) & 0x7FFFFFFF)).view(np.float32))


@inner
def extent(vector: Floats) -> tuple[np.float32, np.float32]:
    """Minimum and maximum; of several zeros the first is the minimum."""
    keys = _ordered(bits_of(vector))
    low, high = _from_ordered(min_lane(keys)), _from_ordered(max_lane(keys))
    if low == F(0):
        low = -F(0) if _first_is_negative(vector, vector == F(0)) else F(0)
    return low, high


@inner
def rounded_away(vector: Floats) -> Ints:
    """C's roundf, half away from zero, as integers; every lane must be within int32's range."""
    return to_ints(vector + from_bits((bits_of(vector) & _SIGN) | _JUST_BELOW_HALF))


@inner
def levels_around(vector: Floats, d: np.float32, middle: np.int32) -> Ints:
    """Levels trunc(x / d + middle + 0.5), at most 2 * middle - 1; all 0 where 1 / d is infinite."""
    inverse = inverse_or_zero(d)
    shift = F(0) if d != F(0) and inverse == F(0) else F(middle) + F(0.5)
    top = I(2 * middle - 1)
    levels = to_ints(vector * inverse + shift)
    capped: Ints = select(levels < top, levels, top)
    return capped


@inner
def levels_above(vector: Floats, low: np.float32, d: np.float32, top: np.int32) -> Ints:
    """Levels trunc((x - low) / d + 0.5), 0..top; all 0 where 1 / d, or d, is infinite."""
    scaled = (vector - low) * inverse_or_zero(d) + F(0.5)
    return to_ints(select(scaled < F(top + 1), scaled, F(0)))


@inner
def store_five_bits(out: NDArray[np.uint8], at: int, levels: Ints) -> None:
    """32 levels -> 20 bytes from `at` on: the fifth bits, level i at bit i, then the nibbles."""
    store_mask(out, at, levels > I(15))
    store_nibbles(out, at + 4, levels & I(15))


@inner
def load_five_bits(packed: NDArray[np.uint8], at: int) -> Ints:
    """The inverse of `store_five_bits`."""
    low = load_nibbles(packed, at + 4)
    levels: Ints = select(load_mask(packed, at), low | I(16), low)
    return levels
