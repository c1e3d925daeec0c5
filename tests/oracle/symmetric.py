"""Q3_K and Q6_K: x ~ scale * level with signed levels in sub-blocks of 16, whose scales are quantized in turn."""

from __future__ import annotations

from oracle.packing import from_nibbles, from_planes, from_two_bits, nibbles, planes, two_bits
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
    nearest_int,
)


def _signed_levels(x: Block, inverse: F, bottom: int) -> list[int]:
    return [clamp(nearest_int(inverse * value), bottom, -bottom - 1) for value in x]


def _sums(x: Block, levels: list[int]) -> tuple[F, F]:
    """Sums of w x l and of w l l with the weights w = x^2."""
    sum_lx = sum_l2 = F(0)
    for value, level in zip(x, levels, strict=True):
        weight = value * value
        sum_lx += weight * value * F(level)
        sum_l2 += weight * F(level) * F(level)
    return sum_lx, sum_l2


def _final_levels(x: Block, searched: list[int], scale: F, bottom: int) -> list[int]:
    """Levels from 0 on under the stored scale; where that is 0, those of the search."""
    if scale == 0:
        return searched
    return [clamp(nearest_int(value / scale), bottom, -bottom - 1) - bottom for value in x]


# Q3_K: levels -4..3, refined one by one.


def fit_q3(x: Block) -> tuple[F, list[int]]:
    """The scale and the levels 0..7 of a sub-block."""
    extreme = first_extreme(x)
    if abs(extreme) < GROUP_MAX_EPS:
        return F(0), [0] * 16
    levels = _signed_levels(x, F(-4) / extreme, -4)
    sum_lx, sum_l2 = _sums(x, levels)
    for _ in range(5):
        changed = False
        for i, value in enumerate(x):
            weight = value * value
            rest_lx = sum_lx - weight * value * F(levels[i])
            if not rest_lx > 0:
                continue
            rest_l2 = sum_l2 - weight * F(levels[i]) * F(levels[i])
            other = clamp(nearest_int(value * rest_l2 / rest_lx), -4, 3)
            if other == levels[i]:
                continue
            new_lx = rest_lx + weight * value * F(other)
            new_l2 = rest_l2 + weight * F(other) * F(other)
            if new_l2 > 0 and new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2:
                levels[i], sum_lx, sum_l2, changed = other, new_lx, new_l2, True
        if not changed:
            break
    return sum_lx / sum_l2 if sum_l2 > 0 else F(0), [level + 4 for level in levels]


def pack_q3_scales(scales: list[int]) -> bytes:
    """16 numbers of 6 bits: low halves first, then the high pairs of bits."""
    packed = bytearray(12)
    for j, scale in enumerate(scales):
        packed[j % 8] |= (scale & 15) << j // 8 * 4
        packed[8 + j % 4] |= scale >> 4 << j // 4 * 2
    return bytes(packed)


def unpack_q3_scales(packed: bytes) -> list[int]:
    return [packed[j % 8] >> j // 8 * 4 & 15 | (packed[8 + j % 4] >> j // 4 * 2 & 3) << 4 for j in range(16)]


def encode_q3_k(x: Block) -> bytes:
    parts = x.reshape(16, 16)
    fits = [fit_q3(part) for part in parts]
    largest = first_extreme(scale for scale, _ in fits)
    scales = [-32] * 16
    packed_d, packed_scales = half(F(0)), bytes(12)
    if largest != 0:
        inverse = F(-32) / largest
        scales = [clamp(as_int8(nearest_int(inverse * scale)), -32, 31) for scale, _ in fits]
        packed_d, packed_scales = half(F(1) / inverse), pack_q3_scales([scale + 32 for scale in scales])
    d = half_at(packed_d, 0)
    levels = []
    for part, (_, searched), scale in zip(parts, fits, scales, strict=True):
        levels += _final_levels(part, searched, d * F(scale), -4)
    high = planes([level >> 2 for level in levels])
    return high + two_bits([level & 3 for level in levels]) + packed_scales + packed_d


def decode_q3_k(block: bytes) -> list[F]:
    d = half_at(block, 108)
    scales = unpack_q3_scales(block[96:108])
    highs, lows = from_planes(block[:32]), from_two_bits(block[32:96])
    return [d * F(scales[i // 16] - 32) * F((lows[i] | highs[i] << 2) - 4) for i in range(256)]


# Q6_K: levels -32..31, a search over 19 inverse scales.


def fit_q6(x: Block) -> tuple[F, list[int]]:
    """The scale and the levels 0..63 of a sub-block."""
    extreme = first_extreme(x)
    if abs(extreme) < GROUP_MAX_EPS:
        return F(0), [0] * 16
    levels = _signed_levels(x, F(-32) / extreme, -32)
    sum_lx, sum_l2 = _sums(x, levels)
    scale = sum_lx / sum_l2 if sum_l2 != 0 else F(0)
    best = scale * sum_lx
    for step in (*range(-9, 0), *range(1, 10)):
        candidate = _signed_levels(x, -(F(32) + F(0.1) * F(step)) / extreme, -32)
        sum_lx, sum_l2 = _sums(x, candidate)
        if sum_l2 > 0 and sum_lx * sum_lx > best * sum_l2:
            levels, scale = candidate, sum_lx / sum_l2
            best = scale * sum_lx
    return scale, [level + 32 for level in levels]


def encode_q6_k(x: Block) -> bytes:
    parts = x.reshape(16, 16)
    fits = [fit_q6(part) for part in parts]
    largest = first_extreme(scale for scale, _ in fits)
    if abs(largest) < GROUP_MAX_EPS:
        return bytes(210)
    inverse = F(-128) / largest
    scales = [as_int8(min(127, nearest_int(inverse * scale))) for scale, _ in fits]
    packed_d = half(F(1) / inverse)
    d = half_at(packed_d, 0)
    levels = []
    for part, (_, searched), scale in zip(parts, fits, scales, strict=True):
        levels += _final_levels(part, searched, d * F(scale), -32)
    lows = nibbles(levels[:128]) + nibbles(levels[128:])
    return lows + two_bits([level >> 4 for level in levels]) + bytes(map(as_uint8, scales)) + packed_d


def decode_q6_k(block: bytes) -> list[F]:
    d = half_at(block, 208)
    lows, highs = from_nibbles(block[:64]) + from_nibbles(block[64:128]), from_two_bits(block[128:192])
    scales = [as_int8(byte) for byte in block[192:208]]
    return [d * F(scales[i // 16]) * F((lows[i] | highs[i] << 4) - 32) for i in range(256)]
