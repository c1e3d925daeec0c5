"""MXFP4 and NVFP4: 4-bit floats under a power of two, and under a small float for every 16."""

from __future__ import annotations

import math

import numpy as np

from oracle.packing import from_nibbles, nibbles
from oracle.scalars import Block, F, as_uint8, first_extreme

#: ggml-common.h, kvalues_fp4: twice the values of E2M1.
VALUES = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


def _nearest_level(x: F, d: F) -> int:
    """The first level with the smallest distance."""
    best, nearest = abs(F(VALUES[0]) * d - x), 0
    for level in range(1, 16):
        distance = abs(F(VALUES[level]) * d - x)
        if distance < best:
            best, nearest = distance, level
    return nearest


def _from_e8m0(e: int) -> F:
    """Half of the power of two; the two smallest are subnormal."""
    return F(math.ldexp(1, e - 128))


def exponent(largest: F) -> int:
    """What MXFP4 stores; float64's logarithm, rounded, is glibc's log2f wherever a power of two is near."""
    return as_uint8(math.floor(F(np.log2(np.float64(largest)))) - 2 + 127) if largest > 0 else 0


def encode_mxfp4(x: Block) -> bytes:
    e = exponent(abs(first_extreme(x)))
    return bytes([e]) + nibbles([_nearest_level(value, _from_e8m0(e)) for value in x])


def decode_mxfp4(block: bytes) -> list[F]:
    d = _from_e8m0(block[0])
    return [F(VALUES[level]) * d for level in from_nibbles(block[1:])]


def _half_of_ue4m3(bits: int) -> F:
    exponent, mantissa = bits >> 3 & 15, bits & 7
    if bits == 0x7F:  # NaN
        return F(0)
    return F(math.ldexp(8 + mantissa, exponent - 11) if exponent else math.ldexp(mantissa, -10))


def to_ue4m3(value: F) -> int:
    """The nearest, half way up; 448 for all that rounds to 256 or more."""
    if value < F(2.0**-6):
        return min(7, int(value * F(512) + F(0.5)))
    fraction, exponent = math.frexp(value)  # fraction 0.5..1
    steps = math.floor(fraction * 16 + 0.5)  # 8..16, exact but for the rounding
    code = (exponent + 6 << 3) + steps - 8
    return code if code < 15 << 3 else 0x7E


def encode_nvfp4(x: Block) -> bytes:
    scales, packed = bytearray(), b""
    for part in x.reshape(4, 16):
        scales.append(to_ue4m3(abs(first_extreme(part)) / F(6)))
        packed += nibbles([_nearest_level(value, _half_of_ue4m3(scales[-1])) for value in part])
    return bytes(scales) + packed


def decode_nvfp4(block: bytes) -> list[F]:
    values = []
    for s in range(4):
        d = _half_of_ue4m3(block[s])
        values += [F(VALUES[level]) * d for level in from_nibbles(block[4 + 8 * s : 12 + 8 * s])]
    return values
