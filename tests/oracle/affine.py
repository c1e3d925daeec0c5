"""Q2_K, Q4_K and Q5_K: x ~ scale * level + min in sub-blocks, whose scales and mins are quantized in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from oracle.packing import from_pair_nibbles, from_planes, from_two_bits, pair_nibbles, planes, two_bits
from oracle.scalars import GROUP_MAX_EPS, Block, F, as_uint8, clamp, half, half_at, nearest_int

SUPER_BLOCK = 256
_STEP = F(0.1)


@dataclass(frozen=True)
class Search:
    """The constants of a type: the candidates' numerators are first + step * i + top, i = 0..last."""

    size: int
    top: int
    first: F
    last: int
    step: F = _STEP
    absolute: bool = False
    clamped_first: bool = False  #: candidates are clamped before they are rounded, as the wheel's build does it


@dataclass
class Fit:
    scale: F
    minus_min: F  #: what is subtracted: never negative
    levels: list[int]


def _levels(x: Block, inverse: F, low: F, top: int) -> list[int]:
    return [clamp(nearest_int(inverse * (value - low)), 0, top) for value in x]


def _candidate_levels(x: Block, inverse: F, low: F, search: Search) -> list[int]:
    """Beyond 2^22 rounding is no rounding, so that the order of clamping and rounding matters there."""
    if not search.clamped_first:
        return _levels(x, inverse, low, search.top)
    numbers = [inverse * (value - low) for value in x]
    return [nearest_int(min(F(search.top), number)) if number > 0 else 0 for number in numbers]


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
        inverse = (search.first + search.step * F(i) + F(search.top)) / (high - low)
        candidate = _candidate_levels(x, inverse, low, search)
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


# With importance (quantize_row_q2_K_impl and its kin): scales and mins are fitted by the weights of their sub-blocks.


def weighted(size: int, top: int, *, clamped_first: bool) -> Search:
    """The search of a type when there is importance."""
    return Search(size, top, first=F(-0.9), last=36, step=F(0.05), clamped_first=clamped_first)


def _importance_weights(x: Block, importance: Block, factor: F) -> Block:
    """Importance times the root of (factor * mean square of the super-block + square)."""
    sum_x2 = F(0)
    for value in x:
        sum_x2 += value * value
    variance = factor * sum_x2 / F(SUPER_BLOCK)
    return np.array([qw * np.sqrt(variance + value * value) for value, qw in zip(x, importance, strict=True)], F)


def _sum(values: Block) -> F:
    total = F(0)
    for value in values:
        total += value
    return total


def _error_of_scale(x: list[F], w: list[F], levels: list[int], scale: F) -> F:
    error = F(0)
    for value, weight, level in zip(x, w, levels, strict=True):
        difference = value - scale * F(level)
        error += weight * difference * difference
    return error


def fit_positive(x: list[F], w: list[F], top: int) -> tuple[F, list[int]]:
    """make_qp_quants: a scale and levels as uint8; nine candidates, then single levels change in up to five rounds."""
    largest = _largest(x)
    if largest < GROUP_MAX_EPS:
        return F(0), [0] * len(x)
    inverse = F(top) / largest
    levels = [as_uint8(nearest_int(inverse * value)) for value in x]
    best = _error_of_scale(x, w, levels, F(1) / inverse)
    for step in (-4, -3, -2, -1, 1, 2, 3, 4):
        candidate = (F(0.1) * F(step) + F(top)) / largest
        error = _error_of_scale(x, w, [min(top, nearest_int(candidate * value)) for value in x], F(1) / candidate)
        if error < best:
            best, inverse = error, candidate
    sum_lx = sum_l2 = F(0)
    for i, (value, weight) in enumerate(zip(x, w, strict=True)):
        level = min(top, nearest_int(inverse * value))
        levels[i] = as_uint8(level)
        sum_lx += weight * value * F(level)
        sum_l2 += weight * F(level) * F(level)
    for _ in range(5):
        changed = False
        for i, (value, weight) in enumerate(zip(x, w, strict=True)):
            rest_lx = sum_lx - weight * value * F(levels[i])
            rest_l2 = sum_l2 - weight * F(levels[i]) * F(levels[i])
            if not (rest_lx > 0 and rest_l2 > 0):
                continue
            level = min(top, nearest_int(value * rest_l2 / rest_lx))
            if level == levels[i]:
                continue
            new_lx = rest_lx + weight * value * F(level)
            new_l2 = rest_l2 + weight * F(level) * F(level)
            if new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2:
                levels[i], sum_lx, sum_l2, changed = as_uint8(level), new_lx, new_l2, True
        if not changed:
            break
    return (sum_lx / sum_l2 if sum_l2 > 0 else F(0)), levels


@dataclass
class WeightedFit:
    """A super-block's sub-blocks, and the levels of their scales and mins."""

    parts: list[Block]
    fits: list[Fit]
    d: F
    scales: list[int]
    dmin: F
    mins: list[int]


def _fit_weighted(x: Block, importance: Block, search: Search, factor: F, top_scale: int) -> WeightedFit:
    parts = list(x.reshape(-1, search.size))
    weights = list(_importance_weights(x, importance, factor).reshape(-1, search.size))
    sums = [_sum(w) for w in weights]
    fits = [fit_sub_block(part, w, search) for part, w in zip(parts, weights, strict=True)]
    d, scales = fit_positive([fit.scale for fit in fits], sums, top_scale)
    dmin, mins = fit_positive([fit.minus_min for fit in fits], sums, top_scale)
    return WeightedFit(parts, fits, d, scales, dmin, mins)


def _super_blocks(row: Block, importance: Block) -> Iterator[tuple[Block, Block]]:
    yield from zip(row.reshape(-1, SUPER_BLOCK), importance.reshape(-1, SUPER_BLOCK), strict=True)


# Q2_K: scales in the low halves and mins in the high halves of 16 bytes.

_Q2_K = Search(size=16, top=3, first=F(-0.5), last=15, absolute=True)


def _finish_q2_k(parts: list[Block], fits: list[Fit], heads: list[int], tail: bytes) -> bytes:
    d, dmin = half_at(tail, 0), half_at(tail, 2)
    levels = []
    for part, fit, head in zip(parts, fits, heads, strict=True):
        levels += _final_levels(part, fit, d * F(head & 15), dmin * F(head >> 4), _Q2_K.top)
    return bytes(heads) + two_bits(levels) + tail


def encode_q2_k(x: Block) -> bytes:
    parts = list(x.reshape(16, 16))
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
    return _finish_q2_k(parts, fits, heads, half(max_scale / F(15)) + half(max_min / F(15)))


def encode_row_q2_k(row: Block, importance: Block, *, clamped_first: bool = False) -> bytes:
    packed = b""
    search = weighted(_Q2_K.size, _Q2_K.top, clamped_first=clamped_first)
    for x, qw in _super_blocks(row, importance):
        found = _fit_weighted(x, qw, search, F(1), 15)
        heads = [as_uint8(scale | low << 4) for scale, low in zip(found.scales, found.mins, strict=True)]
        packed += _finish_q2_k(found.parts, found.fits, heads, half(found.d) + half(found.dmin))
    return packed


def decode_q2_k(block: bytes) -> list[F]:
    d, dmin = half_at(block, 80), half_at(block, 82)
    values = []
    for i, level in enumerate(from_two_bits(block[16:80])):
        head = block[i // 16]
        values.append(d * F(head & 15) * F(level) - dmin * F(head >> 4))
    return values


# Q4_K and Q5_K: eight scales and eight mins of 6 bits in 12 bytes.

_Q4_K = Search(size=32, top=15, first=F(-1), last=20)
_Q5_K = Search(size=32, top=31, first=F(-0.5), last=15)


def _weights(x: Block) -> Block:
    """The root of the mean square, plus the magnitude."""
    sum_x2 = F(0)
    for value in x:
        sum_x2 += value * value
    rms = np.sqrt(sum_x2 / F(32))
    return np.array([rms + abs(value) for value in x], F)


def pack_six_bits(scales: list[int], mins: list[int]) -> bytes:
    """Levels beyond 63, of negative scales that wrapped, spill into their neighbours' bits."""
    packed = bytearray(12)
    for j in range(4):
        packed[j] = as_uint8(scales[j] | scales[j + 4] >> 4 << 6)
        packed[j + 4] = as_uint8(mins[j] | mins[j + 4] >> 4 << 6)
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


def _finish(parts: list[Block], fits: list[Fit], head: bytes, top: int) -> list[int]:
    """The levels under the scales and mins that the head holds."""
    d, dmin = half_at(head, 0), half_at(head, 2)
    levels = []
    for part, fit, scale, low in zip(parts, fits, *unpack_six_bits(head[4:]), strict=True):
        levels += _final_levels(part, fit, d * F(scale), dmin * F(low), top)
    return levels


def _encode(x: Block, search: Search) -> tuple[bytes, list[int]]:
    """The 16 bytes of d, dmin, scales and mins, and the 256 levels."""
    parts = list(x.reshape(8, 32))
    fits = [fit_sub_block(part, _weights(part), search) for part in parts]
    all_scales, all_mins = [fit.scale for fit in fits], [fit.minus_min for fit in fits]
    max_scale, max_min = _largest(all_scales), _largest(all_mins)
    packed = pack_six_bits(_six_bits(all_scales, max_scale), _six_bits(all_mins, max_min))
    head = half(max_scale / F(63)) + half(max_min / F(63)) + packed
    return head, _finish(parts, fits, head, search.top)


def _encode_weighted(x: Block, importance: Block, search: Search, cap: int) -> tuple[bytes, list[int]]:
    """The same with importance; levels of scales and mins are capped, because negative ones have wrapped."""
    found = _fit_weighted(x, importance, search, F(2), 63)
    packed = pack_six_bits([min(cap, scale) for scale in found.scales], [min(cap, low) for low in found.mins])
    head = half(found.d) + half(found.dmin) + packed
    return head, _finish(found.parts, found.fits, head, search.top)


def _decode(head: bytes, levels: list[int]) -> list[F]:
    d, dmin = half_at(head, 0), half_at(head, 2)
    scales, mins = unpack_six_bits(head[4:16])
    return [d * F(scales[i // 32]) * F(level) - dmin * F(mins[i // 32]) for i, level in enumerate(levels)]


def encode_q4_k(x: Block) -> bytes:
    head, levels = _encode(x, _Q4_K)
    return head + pair_nibbles(levels)


def encode_row_q4_k(row: Block, importance: Block, *, clamped_first: bool = False) -> bytes:
    packed = b""
    search = weighted(_Q4_K.size, _Q4_K.top, clamped_first=clamped_first)
    for x, qw in _super_blocks(row, importance):
        head, levels = _encode_weighted(x, qw, search, cap=255)
        packed += head + pair_nibbles(levels)
    return packed


def decode_q4_k(block: bytes) -> list[F]:
    return _decode(block[:16], from_pair_nibbles(block[16:]))


def _levels_q5_k(levels: list[int]) -> bytes:
    return planes([level >> 4 for level in levels]) + pair_nibbles(levels)


def encode_q5_k(x: Block) -> bytes:
    head, levels = _encode(x, _Q5_K)
    return head + _levels_q5_k(levels)


def encode_row_q5_k(row: Block, importance: Block, *, clamped_first: bool = False) -> bytes:
    packed = b""
    search = weighted(_Q5_K.size, _Q5_K.top, clamped_first=clamped_first)
    for x, qw in _super_blocks(row, importance):
        head, levels = _encode_weighted(x, qw, search, cap=63)
        packed += head + _levels_q5_k(levels)
    return packed


def decode_q5_k(block: bytes) -> list[F]:
    lows, highs = from_pair_nibbles(block[48:]), from_planes(block[16:48])
    return _decode(block[:16], [low | high << 4 for low, high in zip(lows, highs, strict=True)])
