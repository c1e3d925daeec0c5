"""Q3_K and Q6_K: x ~ scale * level with signed levels in sub-blocks of 16, whose scales are quantized in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

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

#: The scale of a sub-block, and the levels of its search, counted from 0.
Fit: TypeAlias = tuple[F, list[int]]


def squares(x: Block) -> Block:
    """The weights without importance."""
    return np.array([value * value for value in x], F)


def total(values: Sequence[F] | Block) -> F:
    """The sum in element order."""
    found = F(0)
    for value in values:
        found += value
    return found


def importance_weights(x: Block, importance: Block, variance: F) -> Block:
    return np.array([i * np.sqrt(variance + value * value) for value, i in zip(x, importance, strict=True)], F)


def _signed_levels(x: Block, inverse: F, bottom: int) -> list[int]:
    return [clamp(nearest_int(inverse * value), bottom, -bottom - 1) for value in x]


def _sums(x: Block, w: Block, levels: list[int]) -> tuple[F, F]:
    """Sums of w x l and of w l l."""
    sum_lx = sum_l2 = F(0)
    for value, weight, level in zip(x, w, levels, strict=True):
        sum_lx += weight * value * F(level)
        sum_l2 += weight * F(level) * F(level)
    return sum_lx, sum_l2


def fit_symmetric(x: Block, w: Block, bottom: int) -> Fit:
    """make_qx_quants with rmse_type 1: a search over 19 inverse scales."""
    extreme = first_extreme(x)
    if abs(extreme) < GROUP_MAX_EPS:
        return F(0), [0] * len(x)
    levels = _signed_levels(x, F(bottom) / extreme, bottom)
    sum_lx, sum_l2 = _sums(x, w, levels)
    scale = sum_lx / sum_l2 if sum_l2 != 0 else F(0)
    best = scale * sum_lx
    for step in (*range(-9, 0), *range(1, 10)):
        candidate = _signed_levels(x, -(F(-bottom) + F(0.1) * F(step)) / extreme, bottom)
        sum_lx, sum_l2 = _sums(x, w, candidate)
        if sum_l2 > 0 and sum_lx * sum_lx > best * sum_l2:
            levels, scale = candidate, sum_lx / sum_l2
            best = scale * sum_lx
    return scale, [level - bottom for level in levels]


def encode_super_blocks(encode: Callable[[Block, Block], bytes], row: Block, importance: Block) -> bytes:
    """A row of super-blocks of 256 with its importance."""
    parts = zip(row.reshape(-1, 256), importance.reshape(-1, 256), strict=True)
    return b"".join(encode(x, part) for x, part in parts)


def _final_levels(x: Block, fits: list[Fit], scales: list[F], bottom: int) -> list[int]:
    """Levels from 0 on under the stored scales of the sub-blocks; where one is 0, those of the search."""
    levels = []
    for part, (_, searched), scale in zip(x.reshape(16, 16), fits, scales, strict=True):
        if scale == 0:
            levels += searched
        else:
            levels += [clamp(nearest_int(value / scale), bottom, -bottom - 1) - bottom for value in part]
    return levels


# Q3_K: levels -4..3; without importance refined one by one.


def fit_q3(x: Block) -> Fit:
    """make_q3_quants."""
    extreme = first_extreme(x)
    if abs(extreme) < GROUP_MAX_EPS:
        return F(0), [0] * 16
    levels = _signed_levels(x, F(-4) / extreme, -4)
    sum_lx, sum_l2 = _sums(x, squares(x), levels)
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


def _pack_q3(x: Block, fits: list[Fit], packed_scales: bytes, packed_d: bytes) -> bytes:
    d = half_at(packed_d, 0)
    levels = _final_levels(x, fits, [d * F(scale - 32) for scale in unpack_q3_scales(packed_scales)], -4)
    high = planes([level >> 2 for level in levels])
    return high + two_bits([level & 3 for level in levels]) + packed_scales + packed_d


def encode_q3_k(x: Block) -> bytes:
    fits = [fit_q3(part) for part in x.reshape(16, 16)]
    largest = first_extreme(scale for scale, _ in fits)
    if largest == 0:
        return _pack_q3(x, fits, bytes(12), half(F(0)))
    inverse = F(-32) / largest
    scales = [clamp(as_int8(nearest_int(inverse * scale)), -32, 31) + 32 for scale, _ in fits]
    return _pack_q3(x, fits, pack_q3_scales(scales), half(F(1) / inverse))


def _encode_q3_k_weighted(x: Block, importance: Block) -> bytes:
    weights = importance_weights(x, importance, F(2) * total(squares(x)) / F(256)).reshape(16, 16)
    fits = [fit_symmetric(part, w, -4) for part, w in zip(x.reshape(16, 16), weights, strict=True)]
    found = np.array([scale for scale, _ in fits], F)
    d, scales = fit_symmetric(found, np.array([total(w) for w in weights], F), -32)
    return _pack_q3(x, fits, pack_q3_scales(scales), half(d))


def encode_q3_k_row(row: Block, importance: Block) -> bytes:
    return encode_super_blocks(_encode_q3_k_weighted, row, importance)


def decode_q3_k(block: bytes) -> list[F]:
    d = half_at(block, 108)
    scales = unpack_q3_scales(block[96:108])
    highs, lows = from_planes(block[:32]), from_two_bits(block[32:96])
    return [d * F(scales[i // 16] - 32) * F((lows[i] | highs[i] << 2) - 4) for i in range(256)]


# Q6_K: levels -32..31.


def _encode_q6_k(x: Block, w: Block) -> bytes:
    fits = [
        fit_symmetric(part, weights, -32) for part, weights in zip(x.reshape(16, 16), w.reshape(16, 16), strict=True)
    ]
    largest = first_extreme(scale for scale, _ in fits)
    if abs(largest) < GROUP_MAX_EPS:
        return bytes(210)
    inverse = F(-128) / largest
    scales = [as_int8(min(127, nearest_int(inverse * scale))) for scale, _ in fits]
    packed_d = half(F(1) / inverse)
    d = half_at(packed_d, 0)
    levels = _final_levels(x, fits, [d * F(scale) for scale in scales], -32)
    lows = nibbles(levels[:128]) + nibbles(levels[128:])
    return lows + two_bits([level >> 4 for level in levels]) + bytes(map(as_uint8, scales)) + packed_d


def encode_q6_k(x: Block) -> bytes:
    return _encode_q6_k(x, squares(x))


def encode_q6_k_row(row: Block, importance: Block) -> bytes:
    """The importance itself is the weight."""
    return encode_super_blocks(_encode_q6_k, row, importance)


def decode_q6_k(block: bytes) -> list[F]:
    d = half_at(block, 208)
    lows, highs = from_nibbles(block[:64]) + from_nibbles(block[64:128]), from_two_bits(block[128:192])
    scales = [as_int8(byte) for byte in block[192:208]]
    return [d * F(scales[i // 16]) * F((lows[i] | highs[i] << 4) - 32) for i in range(256)]
