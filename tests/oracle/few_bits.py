"""TQ1_0, TQ2_0, Q2_0 and Q1_0: one scale, and two or three levels."""

from __future__ import annotations

from oracle.packing import from_two_bits, two_bits
from oracle.scalars import Block, F, clamp, first_extreme, half, half_at, inverse_or_zero, rounded_away


def _ternary(x: Block) -> tuple[F, list[int]]:
    """The largest magnitude, and levels 0..2; where the inverse is infinite C's lroundf gives a multiple of 2^32."""
    d = abs(first_extreme(x))
    inverse = inverse_or_zero(d)
    return d, [rounded_away(value * inverse) + 1 & 3 for value in x]


# TQ1_0: elements in the order of the bytes, five (at the end four) levels each.

_GROUPS = [range(first, 160, 32) for first in range(32)]
_GROUPS += [range(first, 240, 16) for first in range(160, 176)]
_GROUPS += [range(first, 256, 4) for first in range(240, 244)]


def encode_tq1_0(x: Block) -> bytes:
    d, levels = _ternary(x)
    packed = bytearray()
    for group in _GROUPS:
        number = sum(levels[i] * 3 ** (4 - p) for p, i in enumerate(group))
        packed.append(-(-number * 256 // 243))
    return bytes(packed) + half(d)


def decode_tq1_0(block: bytes) -> list[F]:
    d = half_at(block, 52)
    values = [F(0)] * 256
    for byte, group in zip(block, _GROUPS, strict=False):
        for p, i in enumerate(group):
            values[i] = F((byte * 3**p % 256 * 3 >> 8) - 1) * d
    return values


def encode_tq2_0(x: Block) -> bytes:
    d, levels = _ternary(x)
    return two_bits(levels) + half(d)


def decode_tq2_0(block: bytes) -> list[F]:
    d = half_at(block, 64)
    return [F(level - 1) * d for level in from_two_bits(block[:64])]


def encode_q2_0(x: Block) -> bytes:
    d = abs(first_extreme(x))
    inverse = inverse_or_zero(d)
    levels = [clamp(rounded_away(value * inverse) + 1, 0, 3) for value in x]
    packed = sum(level << 2 * i for i, level in enumerate(levels))
    return half(d) + packed.to_bytes(16, "little")


def decode_q2_0(block: bytes) -> list[F]:
    d = half_at(block, 0)
    packed = int.from_bytes(block[2:], "little")
    return [F((packed >> 2 * i & 3) - 1) * d for i in range(64)]


def encode_q1_0(x: Block) -> bytes:
    total = F(0)
    for value in x:
        total += abs(value)
    signs = sum(1 << i for i, value in enumerate(x) if value >= 0)
    return half(total / F(128)) + signs.to_bytes(16, "little")


def decode_q1_0(block: bytes) -> list[F]:
    d = half_at(block, 0)
    signs = int.from_bytes(block[2:], "little")
    return [d if signs >> i & 1 else -d for i in range(128)]
