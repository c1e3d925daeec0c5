"""Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1: blocks of 32, without a search unless there is importance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oracle.affine import fit_sub_block, weighted
from oracle.packing import from_nibbles, nibbles
from oracle.scalars import (
    GROUP_MAX_EPS,
    Block,
    F,
    as_int8,
    as_uint8,
    clamp,
    first_extreme,
    half,
    half_at,
    inverse_or_zero,
    nearest_int,
    rounded_away,
    truncated,
)

BLOCK = 32


def encode_q8_0(x: Block) -> bytes:
    d = abs(first_extreme(x)) / F(127)
    inverse = inverse_or_zero(d)
    return half(d) + bytes(as_uint8(rounded_away(value * inverse)) for value in x)


def decode_q8_0(block: bytes) -> list[F]:
    d = half_at(block, 0)
    return [F(as_int8(byte)) * d for byte in block[2:]]


# Without importance.


def _signed_levels(x: Block, d: F, offset: int) -> list[int]:
    """Levels 0..2 * offset - 1, where `offset` stands for 0."""
    inverse = inverse_or_zero(d)
    shift = F(offset) + F(0.5)
    return [as_uint8(min(2 * offset - 1, as_int8(truncated(value * inverse + shift)))) for value in x]


def _extent(x: Block) -> tuple[F, F]:
    low = high = x[0]
    for value in x:
        low = value if value < low else low
        high = value if value > high else high
    return low, high


def _levels_above(x: Block, low: F, d: F) -> list[int]:
    inverse = inverse_or_zero(d)
    return [as_uint8(truncated((value - low) * inverse + F(0.5))) for value in x]


def encode_q4_0(x: Block) -> bytes:
    d = first_extreme(x) / F(-8)
    return half(d) + nibbles(_signed_levels(x, d, 8))


def encode_q4_1(x: Block) -> bytes:
    low, high = _extent(x)
    d = (high - low) / F(15)
    levels = [as_uint8(min(15, as_int8(level))) for level in _levels_above(x, low, d)]
    return half(d) + half(low) + nibbles(levels)


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


def encode_q5_1(x: Block) -> bytes:
    low, high = _extent(x)
    d = (high - low) / F(31)
    return half(d) + half(low) + _five_bits(_levels_above(x, low, d))


# With importance: a search under the weights importance * sqrt(variance of the row + x^2).


def _weighted_blocks(row: Block, importance: Block) -> Iterator[tuple[Block, Block]]:
    """The blocks of a row, and the weights of their elements."""
    sum_x2 = F(0)
    for value in row:
        sum_x2 += value * value
    variance = sum_x2 / F(row.size)
    weights = [q * np.sqrt(variance + value * value) for value, q in zip(row, importance, strict=True)]
    return zip(row.reshape(-1, BLOCK), np.array(weights, F).reshape(-1, BLOCK), strict=True)


def _fit_signed(x: Block, w: Block, bottom: int) -> tuple[F, list[int]]:
    """The scale that explains most among those of 19 candidates, and its levels, counted from 0."""
    extreme = first_extreme(x)
    if abs(extreme) < GROUP_MAX_EPS:
        return F(0), [0] * BLOCK
    scale = best = F(0)
    chosen: list[int] = []
    for step in (0, *range(-9, 0), *range(1, 10)):
        inverse = -(F(-bottom) + F(0.1) * F(step)) / extreme
        levels = [clamp(nearest_int(inverse * value), bottom, -bottom - 1) for value in x]
        sum_lx = sum_l2 = F(0)
        for value, weight, level in zip(x, w, levels, strict=True):
            sum_lx += weight * value * F(level)
            sum_l2 += weight * F(level) * F(level)
        better = sum_l2 > 0 and sum_lx * sum_lx > best * sum_l2
        if step == 0 or better:
            chosen, scale = levels, sum_lx / sum_l2 if sum_l2 != 0 else F(0)
            best = scale * sum_lx
    return scale, [level - bottom for level in chosen]


def encode_row_q4_0(row: Block, importance: Block) -> bytes:
    fits = [_fit_signed(x, w, -8) for x, w in _weighted_blocks(row, importance)]
    return b"".join(half(d) + nibbles(levels) for d, levels in fits)


def encode_row_q5_0(row: Block, importance: Block) -> bytes:
    fits = [_fit_signed(x, w, -16) for x, w in _weighted_blocks(row, importance)]
    return b"".join(half(d) + _five_bits(levels) for d, levels in fits)


def encode_row_q4_1(row: Block, importance: Block, *, clamped_first: bool = False) -> bytes:
    search = weighted(BLOCK, 15, clamped_first=clamped_first)
    fits = [fit_sub_block(x, w, search) for x, w in _weighted_blocks(row, importance)]
    return b"".join(half(fit.scale) + half(-fit.minus_min) + nibbles(fit.levels) for fit in fits)


def encode_row_q5_1(row: Block, importance: Block, *, clamped_first: bool = False) -> bytes:
    search = weighted(BLOCK, 31, clamped_first=clamped_first)
    fits = [fit_sub_block(x, w, search) for x, w in _weighted_blocks(row, importance)]
    return b"".join(half(fit.scale) + half(-fit.minus_min) + _five_bits(fit.levels) for fit in fits)


def decode_q4_0(block: bytes) -> list[F]:
    d = half_at(block, 0)
    return [F(level - 8) * d for level in from_nibbles(block[2:])]


def decode_q4_1(block: bytes) -> list[F]:
    d, low = half_at(block, 0), half_at(block, 2)
    return [F(level) * d + low for level in from_nibbles(block[4:])]


def decode_q5_0(block: bytes) -> list[F]:
    d = half_at(block, 0)
    return [F(level - 16) * d for level in _from_five_bits(block[2:])]


def decode_q5_1(block: bytes) -> list[F]:
    d, low = half_at(block, 0), half_at(block, 2)
    return [F(level) * d + low for level in _from_five_bits(block[4:])]
