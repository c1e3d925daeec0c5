"""Vectors made of vectors and scalars, as NumPy does it: the meaning that `compiled.py` keeps to."""

from __future__ import annotations

from typing import Any, cast, overload

import numpy as np

from quantize_cli.simd.vector.shape import LANES, NARROW, SUMMED, Doubles, Floats, Ints, Mask


def splat(value: np.float32) -> Floats:
    """Put the same value into every lane."""
    return np.full(LANES, value, np.float32)


def splat_int(value: np.int32) -> Ints:
    """Put the same value into every lane."""
    return np.full(LANES, value, np.int32)


def lane_numbers() -> Ints:
    """Put 0, 1, 2 ... into the lanes."""
    return np.arange(LANES, dtype=np.int32)


def nowhere() -> Mask:
    """Make a mask that is set in no lane."""
    return np.zeros(LANES, np.bool_)


def mask_of(bits: np.int32) -> Mask:
    """Make a mask that is set in lane l where bit l of `bits` is."""
    return cast("Mask", (int(bits) >> np.arange(LANES)) & 1 == 1)


def select(mask: Mask, chosen: Any, other: Any) -> Any:
    """Take, in each lane, `chosen` where the mask is set, else `other`; one of them may be a scalar."""
    return np.where(mask, chosen, other)


@overload
def clamped(vector: Floats, low: np.float32, high: np.float32) -> Floats: ...
@overload
def clamped(vector: Ints, low: np.int32, high: np.int32) -> Ints: ...
def clamped(vector: Any, low: Any, high: Any) -> Any:
    """Move what is below `low` to it, NaN too, and then what is above `high`."""
    raised = np.where(vector > low, vector, low)
    return np.where(raised < high, raised, high)


def narrow(vector: Any) -> Any:
    """Take the first NARROW lanes."""
    return vector[:NARROW]


def splat_summed(value: np.float32) -> Floats:
    """Put the same value into SUMMED lanes."""
    return np.full(SUMMED, value, np.float32)


def middle_swapped(vector: Ints) -> Ints:
    """Exchange the second and the third quarter of the lanes."""
    return vector.reshape(2, 2, -1).swapaxes(0, 1).reshape(LANES)


def any_lane(mask: Mask) -> bool:
    """Tell whether the mask is set in any lane."""
    return bool(mask.any())


def first_lane(mask: Mask) -> int:
    """Find the number of the first lane in which the mask is set; there must be one."""
    return int(mask.argmax())


def lane_bits(mask: Mask) -> np.int64:
    """Read the mask as an integer: lane 0 is the lowest bit."""
    return np.int64(np.packbits(mask, bitorder="little").view("<u4")[0])


def max_lane(vector: Ints) -> np.int32:
    """Find the largest of the lanes."""
    return np.int32(vector.max())


def min_lane(vector: Ints) -> np.int32:
    """Find the smallest of the lanes."""
    return np.int32(vector.min())


def largest(vector: Floats) -> np.float32:
    """Find the largest of the lanes, none of which may be NaN; of zeros, either."""
    return cast("np.float32", vector.max())


def smallest(vector: Floats) -> np.float32:
    """Find the smallest of the lanes, none of which may be NaN; of zeros, either."""
    return cast("np.float32", vector.min())


def nearest(vector: Floats) -> Floats:
    """Round to the nearest integer, ties to even."""
    return cast("Floats", np.rint(vector))


def magnitude(vector: Floats) -> Floats:
    """Clear the sign bit."""
    return np.abs(vector)


def square_root(vector: Floats) -> Floats:
    """Take the square root, correctly rounded."""
    return np.sqrt(vector)


def to_ints(vector: Floats) -> Ints:
    """Truncate to integers; every lane must be within int32's range."""
    return vector.astype(np.int32)


def to_floats(vector: Ints) -> Floats:
    """Convert to float32, rounded to nearest."""
    return vector.astype(np.float32)


def bits_of(vector: Floats) -> Ints:
    """Read the bits of each float32."""
    return vector.view(np.int32)


def from_bits(vector: Ints) -> Floats:
    """Make the float32 of those bits."""
    return vector.view(np.float32)


def widened(vector: Floats) -> Doubles:
    """Convert SUMMED lanes to float64, exactly."""
    return vector.astype(np.float64)


def wide_magnitude(vector: Doubles) -> Doubles:
    """Clear the sign bit."""
    return np.abs(vector)
