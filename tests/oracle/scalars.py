"""C's arithmetic on scalars as the reference's x86-64 build does it: float32 at each step, integers that wrap."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

F = np.float32
Block: TypeAlias = NDArray[np.float32]

#: A sub-block whose largest magnitude is below this counts as zero (ggml-quants.c, GROUP_MAX_EPS).
GROUP_MAX_EPS = F(1e-15)

_INT_MIN = -(2**31)


def nearest_int(value: F) -> int:
    """Add 1.5 * 2^23 and keep the mantissa: the nearest integer, or what the bits then say beyond 2^22."""
    return (int((value + F(12582912)).view(np.int32)) & 0x7FFFFF) - 0x400000


def clamp(number: int, low: int, high: int) -> int:
    return max(low, min(high, number))


def truncated(value: F) -> int:
    """float -> int towards zero; the CPU answers INT_MIN for what does not fit and for NaN."""
    return int(value) if abs(value) < 2**31 else _INT_MIN


def rounded_away(value: F) -> int:
    """roundf, then float -> int: half away from zero."""
    return truncated(F(math.copysign(math.floor(float(abs(value)) + 0.5), value))) if abs(value) < 2**31 else _INT_MIN


def as_uint8(number: int) -> int:
    return number & 0xFF


def as_int8(number: int) -> int:
    return (number + 128 & 0xFF) - 128


def inverse_or_zero(value: F) -> F:
    """1 / value, and 0 only for a zero: for a small subnormal it is infinite."""
    return F(1) / value if value != 0 else F(0)


def first_extreme(x: Iterable[F]) -> F:
    """The first value of the largest magnitude; 0 if there are only zeros."""
    extreme = F(0)
    for value in x:
        if abs(value) > abs(extreme):
            extreme = value
    return extreme


def small_float_bits(value: F, mantissa_bits: int, least_exponent: int) -> int:
    """The 16 bits of the nearest number with so many mantissa bits, ties to even.

    Below 2^least_exponent the numbers are subnormal: their spacing no longer shrinks.
    """
    exponent_bits = 15 - mantissa_bits
    infinity = (1 << exponent_bits) - 1 << mantissa_bits
    if math.isnan(value):
        bits = infinity | 1 << mantissa_bits - 1
    elif math.isinf(value):
        bits = infinity
    else:
        magnitude = float(abs(value))
        exponent = max(math.frexp(magnitude)[1] - 1, least_exponent) if magnitude else least_exponent
        steps = round(math.ldexp(magnitude, mantissa_bits - exponent))  # exact but for the rounding
        bits = min(infinity, (exponent - least_exponent << mantissa_bits) + steps)
    return bits | (0x8000 if math.copysign(1, value) < 0 else 0)


def half(value: F) -> bytes:
    """The two bytes of the nearest float16."""
    return small_float_bits(value, mantissa_bits=10, least_exponent=-14).to_bytes(2, "little")


def half_at(block: bytes, at: int) -> F:
    """The float16 at byte `at`."""
    return F(struct.unpack_from("<e", block, at)[0])
