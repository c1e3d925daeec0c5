"""The extremes of one vector, or of neighbouring ones, as scalars.

As integers the bits of magnitudes keep their order, so that a maximum of floats is one of integers, which is faster.
"""

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
    lane_bits,
    largest,
    load,
    magnitude,
    max_lane,
    select,
    smallest,
    splat_int,
)

F = np.float32
I = np.int32  # noqa: E741


@inner
def magnitudes(vector: Floats) -> Ints:
    """Read the bits of each magnitude."""
    return bits_of(vector) & I(0x7FFFFFFF)


@inner
def largest_of(bits: Ints) -> np.float32:
    """Find the largest magnitude, given the bits of all."""
    return F(I(max_lane(bits)).view(np.float32))


@inner
def largest_magnitude(values: NDArray[np.float32], start: int, size: int) -> np.float32:
    """Find the largest magnitude of `size` values, a multiple of LANES, from `start` on."""
    largest = splat_int(I(0))
    for i in range(start, start + size, LANES):
        bits = magnitudes(load(values, i))
        largest = select(bits > largest, bits, largest)
    return largest_of(largest)


@inner
def _first_is_negative(vector: Floats, mask: Mask) -> bool:
    """Tell whether the first of the lanes in the mask has its sign bit set."""
    chosen = lane_bits(mask)
    return bool(chosen & -chosen & lane_bits(bits_of(vector) < I(0)))


@inner
def extreme_of(vector: Floats) -> np.float32:
    """Find the first value of the largest magnitude, none being NaN; +0 if all are zeros of either sign."""
    low, high = smallest(vector), largest(vector)
    if high != -low:
        return high if high > -low else low
    if high == F(0):
        return F(0)
    return low if _first_is_negative(vector, magnitude(vector) == high) else high


@inner
def extent(vector: Floats) -> tuple[np.float32, np.float32]:
    """Find minimum and maximum, none being NaN; of several zeros the first is the minimum, and the maximum is +0."""
    low, high = smallest(vector), largest(vector)
    if low == F(0):
        low = -F(0) if _first_is_negative(vector, vector == F(0)) else F(0)
    return low, high + F(0)
