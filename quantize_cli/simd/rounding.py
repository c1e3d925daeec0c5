"""Rounding to integers, as exactly as bytes depend on it."""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import Floats, Ints, bits_of, from_bits, to_ints

F = np.float32
I = np.int32  # noqa: E741

_MAGIC = F(12582912.0)  # 1.5 * 2^23: adding it leaves the rounded integer in the low mantissa bits
_MANTISSA = I(0x7FFFFF)
_MIDDLE = I(0x400000)
_SIGN = I(-0x80000000)
_JUST_BELOW_HALF = I(0x3EFFFFFF)


@inner
def nearest_int(value: np.float32) -> np.int32:
    """Round half to even by the mantissa's bits.

    Equal to `rint` up to 2^22 in magnitude. Beyond it, and for infinities and NaN, the result is whatever those bits
    are; bytes depend on that.
    """
    return np.int32((F(value + _MAGIC).view(np.int32) & _MANTISSA) - _MIDDLE)


@inner
def nearest_ints(vector: Floats) -> Ints:
    """Round each lane as `nearest_int` does."""
    return (bits_of(vector + _MAGIC) & _MANTISSA) - _MIDDLE


@inner
def rounded(vector: Floats) -> Floats:
    """Round each lane to the nearest integer, ties to even; every magnitude must be below 2^22.

    Where many products are computed too, two additions are faster than the machine's rounding, which takes the
    multipliers of Intel's.
    """
    return (vector + _MAGIC) - _MAGIC


@inner
def rounded_away(vector: Floats) -> Ints:
    """Round half away from zero, as C's roundf; every lane must be within int32's range."""
    return to_ints(vector + from_bits((bits_of(vector) & _SIGN) | _JUST_BELOW_HALF))
