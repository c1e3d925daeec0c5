"""IEEE binary16 in integer arithmetic: Numba has no float16 on CPUs."""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import Floats, Ints, bits_of, from_bits, select

F = np.float32
I = np.int32  # noqa: E741
U = np.uint32

_HALF = F(0.5)
_TWO_POW_112 = F(2.0**112)


@inner
def to_half(value: np.float32) -> np.uint16:
    """Round to the nearest float16, ties to even, as its bits; overflow gives infinity, NaN a quiet NaN."""
    bits = F(value).view(np.uint32)
    sign = (bits >> U(16)) & U(0x8000)
    magnitude = U(bits & U(0x7FFFFFFF))
    if magnitude > U(0x7F800000):
        return np.uint16(sign | U(0x7E00))
    if magnitude >= U(0x477FF000):  # 65520, half way to the first value that does not fit
        return np.uint16(sign | U(0x7C00))
    if magnitude < U(0x38800000):  # 2^-14: subnormal, and 0.5 has float16's smallest step as its ulp
        shifted = F(magnitude.view(np.float32) + _HALF)
        return np.uint16(sign | (shifted.view(np.uint32) - U(0x3F000000)))
    odd = (magnitude >> U(13)) & U(1)
    return np.uint16(sign | ((magnitude + U(0xFFF) + odd - U(0x38000000)) >> U(13)))


@inner
def from_half(half: np.uint16) -> np.float32:
    """Convert the bits of a float16 to float32, exactly."""
    bits = U(half)
    magnitude = F(U((bits & U(0x7FFF)) << U(13)).view(np.float32) * _TWO_POW_112)
    special = U(0x7F800000) if (bits & U(0x7C00)) == U(0x7C00) else U(0)
    return U(magnitude.view(np.uint32) | special | ((bits & U(0x8000)) << U(16))).view(np.float32)


@inner
def to_halves(vector: Floats) -> Ints:
    """Round each lane as `to_half` does; none may be NaN."""
    bits = bits_of(vector)
    magnitude = bits & I(0x7FFFFFFF)
    subnormal = bits_of(from_bits(magnitude) + _HALF) - I(0x3F000000)
    normal = (magnitude + ((magnitude >> I(13)) & I(1)) - I(0x37FFF001)) >> I(13)
    half: Ints = select(magnitude < I(0x38800000), subnormal, normal)
    half = select(magnitude < I(0x477FF000), half, I(0x7C00))
    return half | ((bits >> I(16)) & I(0x8000))


@inner
def from_halves(halves: Ints) -> Floats:
    """Convert the low 16 bits of each lane as `from_half` does."""
    magnitude = bits_of(from_bits((halves & I(0x7FFF)) << I(13)) * _TWO_POW_112)
    magnitude = select((halves & I(0x7C00)) == I(0x7C00), magnitude | I(0x7F800000), magnitude)
    return from_bits(magnitude | (halves & I(0x8000)) << I(16))


@inner
def store_half(out: np.ndarray, at: int, half: np.uint16) -> None:
    """Write a float16's bits at byte `at`, little-endian."""
    out[at] = np.uint8(half & np.uint16(0xFF))
    out[at + 1] = np.uint8(half >> np.uint16(8))


@inner
def load_half(packed: np.ndarray, at: int) -> np.float32:
    """Read the float16 at byte `at`, little-endian."""
    return from_half(np.uint16(np.uint16(packed[at]) | (np.uint16(packed[at + 1]) << np.uint16(8))))
