"""Q2_K, Q4_K and Q5_K: x ~ scale * level + min in sub-blocks, whose scales and mins are quantized in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracle.packing import from_pair_nibbles, from_planes, from_two_bits, pair_nibbles, planes, two_bits
from oracle.scalars import Block, F, as_uint8, clamp, half, half_at, nearest_int

SUPER_BLOCK = 256


@dataclass(frozen=True)
class Search:
    """The constants of a format: the candidates' numerators are first + 0.1 * i + top, i = 0..last."""

    size: int
    top: int
    first: F
    last: int
    absolute: bool


@dataclass
class Fit:
    scale: F
    minus_min: F  #: what is subtracted: never negative
    levels: list[int]


def _levels(x: Block, inverse: F, low: F, top: int) -> list[int]:
    return [clamp(nearest_int(inverse * (value - low)), 0, top) for value in x]


def _error(x: Block, w: Block, levels: list[int], scale: F, low: F, absolute: bool) -> F:
    error = F(0)
    for value, weight, level in zip(x, w, levels, strict=True):
        difference = scale * F(level) + low - value
        error += weight * (abs(difference) if absolute else difference * difference)
    return error


def fit_sub_block(x: Block, w: Block, search: Search) -> Fit:
    """The scale and min of the smallest weighted error; the min of the best pair so far feeds the next candidate."""
    low = high = x[0]
    sum_w, sum_x = w[0], w[0] * x[0]
    for value, weight in zip(x[1:], w[1:], strict=True):
        low = value if value < low else low
        high = value if value > high else high
        sum_w += weight
        sum_x += weight * value
    if low > 0:
        low = F(0)
    if high == low:
        return Fit(F(0), -low, [0] * search.size)

    inverse = F(search.top) / (high - low)
    scale = F(1) / inverse
    levels = _levels(x, inverse, low, search.top)
    best = _error(x, w, levels, scale, low, search.absolute)
    for i in range(search.last + 1):
        inverse = (search.first + F(0.1) * F(i) + F(search.top)) / (high - low)
        candidate = _levels(x, inverse, low, search.top)
        sum_l = sum_l2 = sum_xl = F(0)
        for value, weight, level in zip(x, w, candidate, strict=True):
            sum_l += weight * F(level)
            sum_l2 += weight * F(level) * F(level)
            sum_xl += weight * F(level) * value
        determinant = sum_w * sum_l2 - sum_l * sum_l
        if not determinant > 0:
            continue
        new_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        new_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        if new_low > 0:
            new_low = F(0)
            new_scale = sum_xl / sum_l2
        error = _error(x, w, candidate, new_scale, new_low, search.absolute)
        if error < best:
            best, scale, low, levels = error, new_scale, new_low, candidate
    return Fit(scale, -low, levels)


def _largest(values: list[F]) -> F:
    """The largest of the values, at least 0."""
    largest = F(0)
    for value in values:
        largest = value if value > largest else largest
    return largest


def _final_levels(x: Block, fit: Fit, scale: F, minus_min: F, top: int) -> list[int]:
    """Levels under the stored scale and min; where the stored scale is 0, those of the search."""
    if scale == 0:
        return fit.levels
    return [clamp(nearest_int((value + minus_min) / scale), 0, top) for value in x]


# Q2_K: scales in the low halves and mins in the high halves of 16 bytes.

_Q2_K = Search(size=16, top=3, first=F(-0.5), last=15, absolute=True)


def encode_q2_k(x: Block) -> bytes:
    parts = x.reshape(16, 16)
    fits = [fit_sub_block(part, np.abs(part), _Q2_K) for part in parts]
    max_scale = _largest([fit.scale for fit in fits])
    max_min = _largest([fit.minus_min for fit in fits])
    heads = [0] * 16
    if max_scale > 0:
        for j, fit in enumerate(fits):
            heads[j] = as_uint8(nearest_int(F(15) / max_scale * fit.scale))
    if max_min > 0:
        for j, fit in enumerate(fits):
            heads[j] = as_uint8(heads[j] | nearest_int(F(15) / max_min * fit.minus_min) << 4)
    tail = half(max_scale / F(15)) + half(max_min / F(15))
    d, dmin = half_at(tail, 0), half_at(tail, 2)
    levels = []
    for part, fit, head in zip(parts, fits, heads, strict=True):
        levels += _final_levels(part, fit, d * F(head & 15), dmin * F(head >> 4), _Q2_K.top)
    return bytes(heads) + two_bits(levels) + tail


def decode_q2_k(block: bytes) -> list[F]:
    d, dmin = half_at(block, 80), half_at(block, 82)
    values = []
    for i, level in enumerate(from_two_bits(block[16:80])):
        head = block[i // 16]
        values.append(d * F(head & 15) * F(level) - dmin * F(head >> 4))
    return values


# Q4_K and Q5_K: eight scales and eight mins of 6 bits in 12 bytes.

_Q4_K = Search(size=32, top=15, first=F(-1), last=20, absolute=False)
_Q5_K = Search(size=32, top=31, first=F(-0.5), last=15, absolute=False)


def _weights(x: Block) -> Block:
    """The root of the mean square, plus the magnitude."""
    sum_x2 = F(0)
    for value in x:
        sum_x2 += value * value
    rms = np.sqrt(sum_x2 / F(32))
    return np.array([rms + abs(value) for value in x], F)


def pack_six_bits(scales: list[int], mins: list[int]) -> bytes:
    packed = bytearray(12)
    for j in range(4):
        packed[j] = scales[j] | scales[j + 4] >> 4 << 6
        packed[j + 4] = mins[j] | mins[j + 4] >> 4 << 6
        packed[j + 8] = scales[j + 4] & 15 | (mins[j + 4] & 15) << 4
    return bytes(packed)


def unpack_six_bits(packed: bytes) -> tuple[list[int], list[int]]:
    first, second, low = packed[:4], packed[4:8], packed[8:]
    scales = [byte & 63 for byte in first] + [b & 15 | a >> 6 << 4 for a, b in zip(first, low, strict=True)]
    mins = [byte & 63 for byte in second] + [b >> 4 | a >> 6 << 4 for a, b in zip(second, low, strict=True)]
    return scales, mins


def _six_bits(values: list[F], largest: F) -> list[int]:
    inverse = F(63) / largest if largest > 0 else F(0)
    return [min(63, as_uint8(nearest_int(inverse * value))) for value in values]


def _encode(x: Block, search: Search) -> tuple[bytes, list[int]]:
    """The 16 bytes of d, dmin, scales and mins, and the 256 levels."""
    parts = x.reshape(8, 32)
    fits = [fit_sub_block(part, _weights(part), search) for part in parts]
    all_scales, all_mins = [fit.scale for fit in fits], [fit.minus_min for fit in fits]
    max_scale, max_min = _largest(all_scales), _largest(all_mins)
    scales, mins = _six_bits(all_scales, max_scale), _six_bits(all_mins, max_min)
    head = half(max_scale / F(63)) + half(max_min / F(63)) + pack_six_bits(scales, mins)
    d, dmin = half_at(head, 0), half_at(head, 2)
    levels = []
    for part, fit, scale, low in zip(parts, fits, scales, mins, strict=True):
        levels += _final_levels(part, fit, d * F(scale), dmin * F(low), search.top)
    return head, levels


def _decode(head: bytes, levels: list[int]) -> list[F]:
    d, dmin = half_at(head, 0), half_at(head, 2)
    scales, mins = unpack_six_bits(head[4:16])
    return [d * F(scales[i // 32]) * F(level) - dmin * F(mins[i // 32]) for i, level in enumerate(levels)]


def encode_q4_k(x: Block) -> bytes:
    head, levels = _encode(x, _Q4_K)
    return head + pair_nibbles(levels)


def decode_q4_k(block: bytes) -> list[F]:
    return _decode(block[:16], from_pair_nibbles(block[16:]))


def encode_q5_k(x: Block) -> bytes:
    head, levels = _encode(x, _Q5_K)
    return head + planes([level >> 4 for level in levels]) + pair_nibbles(levels)


def decode_q5_k(block: bytes) -> list[F]:
    lows, highs = from_pair_nibbles(block[48:]), from_planes(block[16:48])
    return _decode(block[:16], [low | high << 4 for low, high in zip(lows, highs, strict=True)])
