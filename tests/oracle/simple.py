"""Q8_0, Q4_0, Q5_0 and Q5_1: blocks of 32 without a search."""

from __future__ import annotations

from oracle.packing import from_nibbles, nibbles
from oracle.scalars import (
    Block,
    F,
    as_int8,
    as_uint8,
    first_extreme,
    half,
    half_at,
    inverse_or_zero,
    rounded_away,
    truncated,
)


def encode_q8_0(x: Block) -> bytes:
    d = abs(first_extreme(x)) / F(127)
    inverse = inverse_or_zero(d)
    return half(d) + bytes(as_uint8(rounded_away(value * inverse)) for value in x)


def decode_q8_0(block: bytes) -> list[F]:
    d = half_at(block, 0)
    return [F(as_int8(byte)) * d for byte in block[2:]]


def _signed_levels(x: Block, d: F, offset: int) -> list[int]:
    """Levels 0..2 * offset - 1, where `offset` stands for 0."""
    inverse = inverse_or_zero(d)
    shift = F(offset) + F(0.5)
    return [as_uint8(min(2 * offset - 1, as_int8(truncated(value * inverse + shift)))) for value in x]


def encode_q4_0(x: Block) -> bytes:
    d = first_extreme(x) / F(-8)
    return half(d) + nibbles(_signed_levels(x, d, 8))


def decode_q4_0(block: bytes) -> list[F]:
    d = half_at(block, 0)
    return [F(level - 8) * d for level in from_nibbles(block[2:])]


def _five_bits(levels: list[int]) -> bytes:
    """The fifth bits of 32 levels, then their low nibbles."""
    fifth = sum((level >> 4 & 1) << i for i, level in enumerate(levels))
    return fifth.to_bytes(4, "little") + nibbles(levels)


def _from_five_bits(packed: bytes) -> list[int]:
    fifth = int.from_bytes(packed[:4], "little")
    return [low | (fifth >> i & 1) << 4 for i, low in enumerate(from_nibbles(packed[4:]))]


def encode_q5_0(x: Block) -> bytes:
    d = first_extreme(x) / F(-16)
    return half(d) + _five_bits(_signed_levels(x, d, 16))


def decode_q5_0(block: bytes) -> list[F]:
    d = half_at(block, 0)
    return [F(level - 16) * d for level in _from_five_bits(block[2:])]


def encode_q5_1(x: Block) -> bytes:
    low = high = x[0]
    for value in x:
        low = value if value < low else low
        high = value if value > high else high
    d = (high - low) / F(31)
    inverse = inverse_or_zero(d)
    levels = [as_uint8(truncated((value - low) * inverse + F(0.5))) for value in x]
    return half(d) + half(low) + _five_bits(levels)


def decode_q5_1(block: bytes) -> list[F]:
    d, low = half_at(block, 0), half_at(block, 2)
    return [F(level) * d + low for level in _from_five_bits(block[4:])]
