"""IQ2_XXS, IQ2_XS and IQ2_S: groups of eight magnitudes from a grid of patterns, signs, and scales of 4 bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import gguf
import numpy as np

from oracle.scalars import GROUP_MAX_EPS, Block, F, as_uint8, clamp, half, half_at, nearest_int

SUPER_BLOCK = 256
GROUP = 8


@dataclass(frozen=True)
class Search:
    """The constants of a type's search."""

    name: str
    size: int
    reach: int
    shells: int  #: how many distances from a pattern count as near
    parity: bool
    variance: F
    epsilon: F = GROUP_MAX_EPS


XXS = Search("IQ2_XXS", size=32, reach=6, shells=2, parity=True, variance=F(1))
XS = Search("IQ2_XS", size=16, reach=9, shells=2, parity=True, variance=F(1))
S = Search("IQ2_S", size=16, reach=9, shells=1, parity=False, variance=F(2), epsilon=F(1e-8))


@cache
def _grid(name: str) -> list[tuple[int, ...]]:
    """The patterns of levels, in order."""
    table = getattr(gguf.quants, name)
    table.init_grid()
    return [tuple(table.grid_map.index(value) for value in point) for point in table.grid[0, 0]]


@cache
def _neighbours(search: Search, pattern: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The grid's patterns at the smallest distances, by distance and number."""
    grid = _grid(search.name)
    squares = [sum((a - b) ** 2 for a, b in zip(point, pattern, strict=True)) for point in grid]
    last = sorted(set(squares))[: search.shells][-1]
    order = sorted((square, number) for number, square in enumerate(squares) if square <= last)
    return [grid[number] for _, number in order]


def _rounded(x: Sequence[F], inverse: F) -> tuple[int, ...]:
    return tuple(clamp(nearest_int(F(0.5) * (inverse * value - F(1))), 0, 2) for value in x)


def _snapped(search: Search, pattern: tuple[int, ...], x: Sequence[F], w: Sequence[F], scale: F) -> tuple[int, ...]:
    if pattern in _grid(search.name):
        return pattern
    best = F(np.finfo(np.float32).max)
    found = _neighbours(search, pattern)[0]  # where every error overflows, the reference gives up
    for point in _neighbours(search, pattern):
        error = F(0)
        for level, value, weight in zip(point, x, w, strict=True):
            difference = scale * F(2 * level + 1) - value
            error += weight * difference * difference
        if error < best:
            best, found = error, point
    return found


def _sums(x: Sequence[F], w: Sequence[F], points: Sequence[tuple[int, ...]]) -> tuple[F, F]:
    sum_xq, sum_q2 = F(0), F(0)
    for value, weight, level in zip(x, w, (level for point in points for level in point), strict=True):
        q = F(2 * level + 1)
        sum_xq += weight * value * q
        sum_q2 += weight * q * q
    return sum_xq, sum_q2


def _positive_scale(x: Sequence[F], w: Sequence[F], top: int) -> F:
    """The scale of levels 0..top, as the fit of a K type's scales finds it."""
    largest = F(0)
    for value in x:
        largest = max(largest, value)
    if largest < GROUP_MAX_EPS:
        return F(0)

    def error(inverse: F, levels: list[int]) -> F:
        total = F(0)
        for value, weight, level in zip(x, w, levels, strict=True):
            difference = value - F(1) / inverse * F(level)
            total += weight * difference * difference
        return total

    def capped(inverse: F) -> list[int]:
        return [min(top, nearest_int(inverse * value)) for value in x]

    best_inverse = F(top) / largest
    best = error(best_inverse, [as_uint8(nearest_int(best_inverse * value)) for value in x])
    for step in range(-4, 5):
        inverse = (F(0.1) * F(step) + F(top)) / largest
        if step != 0 and (tried := error(inverse, capped(inverse))) < best:
            best, best_inverse = tried, inverse
    levels = capped(best_inverse)
    sum_lx, sum_l2 = F(0), F(0)
    for value, weight, level in zip(x, w, levels, strict=True):
        sum_lx += weight * value * F(level)
        sum_l2 += weight * F(level) * F(level)
    levels = [as_uint8(level) for level in levels]
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
            rest_lx += weight * value * F(level)
            rest_l2 += weight * F(level) * F(level)
            if rest_lx * rest_lx * sum_l2 > sum_lx * sum_lx * rest_l2:
                levels[i], sum_lx, sum_l2, changed = as_uint8(level), rest_lx, rest_l2, True
        if not changed:
            break
    return sum_lx / sum_l2 if sum_l2 > 0 else F(0)


def _magnitudes(x: Sequence[F], w: Sequence[F], parity: bool) -> tuple[list[F], int]:
    """Magnitudes of a group and the bits of its minus signs, with parity made even by the sign that costs least."""
    values = [value if value >= 0 else -value for value in x]
    signs = sum(1 << i for i, value in enumerate(x) if not value >= 0)
    if not parity:
        return values, signs
    if signs.bit_count() % 2:
        cheapest = 0
        costs = [weight * value * value for value, weight in zip(x, w, strict=True)]
        for i, cost in enumerate(costs):
            if cost < costs[cheapest]:
                cheapest = i
        values[cheapest] = -values[cheapest]
        signs ^= 1 << cheapest
    return values, signs & 127


@dataclass
class Fit:
    """A sub-block: its scale, and for each group a number in the grid and signs."""

    scale: F
    places: list[int]
    signs: list[int]


def _fit(search: Search, x: Block, w: list[F]) -> Fit:
    groups = [slice(start, start + GROUP) for start in range(0, search.size, GROUP)]
    roots = [np.sqrt(weight) for weight in w]
    values: list[F] = []
    signs: list[int] = []
    for group in groups:
        magnitudes, bits = _magnitudes(list(x[group]), w[group], search.parity)
        values += magnitudes
        signs.append(bits)
    nothing = Fit(F(0), [0] * len(groups), [0] * len(groups))
    largest = values[0]
    for value in values[1:]:
        largest = largest if largest > value else value
    if largest < search.epsilon:
        return nothing
    again_always = search.name == "IQ2_XXS"
    if again_always:
        scale = _positive_scale(values, w, 4)
        largest = scale * F(3)
        if largest <= 0:
            return nothing
    else:
        scale = largest / F(5)

    best = F(0)
    points = [(0,) * GROUP] * len(groups)
    moved = [again_always] * len(groups)
    for step in range(-search.reach, search.reach + 1):
        inverse = (F(5) + F(step) * F(0.1)) / largest
        rounded = [_rounded(values[group], inverse) for group in groups]
        tried = [
            _snapped(search, pattern, values[group], roots[group], F(1) / inverse)
            for pattern, group in zip(rounded, groups, strict=True)
        ]
        sum_xq, sum_q2 = _sums(values, w, tried)
        if sum_q2 > 0 and sum_xq * sum_xq > best * sum_q2:
            scale = sum_xq / sum_q2
            best = scale * sum_xq
            points = tried
            moved = [again_always or pattern not in _grid(search.name) for pattern in rounded]
    if any(moved) and scale > 0:
        for k, group in enumerate(groups):
            if moved[k]:
                pattern = _rounded(values[group], F(1) / scale)
                points[k] = _snapped(search, pattern, values[group], roots[group], scale)
        sum_xq, sum_q2 = _sums(values, w, points)
        if sum_q2 > 0:
            scale = sum_xq / sum_q2
    if scale < 0:
        scale = -scale
        signs = [~bits & (127 if search.parity else 255) for bits in signs]
    return Fit(scale, [_grid(search.name).index(point) for point in points], signs)


def _encode(search: Search, x: Block, importance: Block | None) -> tuple[F, list[Fit], list[int]]:
    """d, the sub-blocks, and the levels of their scales."""
    total = F(0)
    for value in x:
        total += value * value
    variance = search.variance * total / F(SUPER_BLOCK)
    if importance is None:
        w = [F(0.25) * variance + value * value for value in x]
    else:
        w = [count * np.sqrt(variance + value * value) for value, count in zip(x, importance, strict=True)]
    starts = range(0, SUPER_BLOCK, search.size)
    fits = [_fit(search, x[start : start + search.size], w[start : start + search.size]) for start in starts]
    d = max(fit.scale for fit in fits) / F(31)
    if d == 0:
        return d, fits, [0] * len(fits)
    return d, fits, [clamp(nearest_int(F(0.5) * (F(1) / d * fit.scale - F(1))), 0, 15) for fit in fits]


def _encode_iq2_xxs(x: Block, importance: Block) -> bytes:
    d, fits, levels = _encode(XXS, x, importance)
    packed = bytearray(half(d))
    for fit, level in zip(fits, levels, strict=True):
        bits = level << 28 | sum(signs << 7 * k for k, signs in enumerate(fit.signs))
        packed += bytes(fit.places) + bits.to_bytes(4, "little")
    return bytes(packed) if d != 0 else bytes(66)


def _pairs(levels: list[int]) -> bytes:
    return bytes(low | high << 4 for low, high in zip(levels[::2], levels[1::2], strict=True))


def _encode_iq2_xs(x: Block, importance: Block) -> bytes:
    d, fits, levels = _encode(XS, x, importance)
    packed = bytearray(half(d))
    for fit in fits:
        for place, signs in zip(fit.places, fit.signs, strict=True):
            packed += (place | signs << 9).to_bytes(2, "little")
    return bytes(packed) + _pairs(levels) if d != 0 else bytes(74)


def _encode_iq2_s(x: Block, importance: Block | None) -> bytes:
    d, fits, levels = _encode(S, x, importance)
    places = [place for fit in fits for place in fit.places]
    signs = [bits for fit in fits for bits in fit.signs]
    high = [sum(places[4 * j + k] >> 8 << 2 * k for k in range(4)) for j in range(8)]
    return half(d * F(0.9875)) + bytes(place & 255 for place in places) + bytes(signs) + bytes(high) + _pairs(levels)


def encode_iq2_s(x: Block) -> bytes:
    return _encode_iq2_s(x, None)


def _rows_of(encode: Callable[[Block, Block], bytes]) -> Callable[[Block, Block], bytes]:
    def encode_row(row: Block, importance: Block) -> bytes:
        starts = range(0, len(row), SUPER_BLOCK)
        return b"".join(encode(row[i : i + SUPER_BLOCK], importance[i : i + SUPER_BLOCK]) for i in starts)

    return encode_row


encode_row_iq2_xxs = _rows_of(_encode_iq2_xxs)
encode_row_iq2_xs = _rows_of(_encode_iq2_xs)
encode_row_iq2_s = _rows_of(_encode_iq2_s)


def _decode_group(name: str, place: int, signs: int, scale: F) -> list[F]:
    values = [(8, 25, 43)[level] for level in _grid(name)[place]]
    return [scale * F(value) * (F(-1) if signs >> i & 1 else F(1)) for i, value in enumerate(values)]


def _even(signs: int) -> int:
    return signs | (signs.bit_count() % 2) << 7


def _scale(d: F, level: int) -> F:
    return d * (F(0.5) + F(level)) * F(0.25)


def _scale_levels(packed: bytes) -> list[int]:
    return [level for byte in packed for level in (byte & 15, byte >> 4)]


def decode_iq2_xxs(block: bytes) -> list[F]:
    d, values = half_at(block, 0), []
    for at in range(2, 66, 8):
        bits = int.from_bytes(block[at + 4 : at + 8], "little")
        for k in range(4):
            values += _decode_group("IQ2_XXS", block[at + k], _even(bits >> 7 * k & 127), _scale(d, bits >> 28))
    return values


def decode_iq2_xs(block: bytes) -> list[F]:
    d, values = half_at(block, 0), []
    levels = _scale_levels(block[66:])
    for k in range(32):
        word = int.from_bytes(block[2 + 2 * k : 4 + 2 * k], "little")
        values += _decode_group("IQ2_XS", word & 511, _even(word >> 9), _scale(d, levels[k // 2]))
    return values


def decode_iq2_s(block: bytes) -> list[F]:
    d, values = half_at(block, 0), []
    levels = _scale_levels(block[74:])
    for k in range(32):
        place = block[2 + k] | (block[66 + k // 4] >> 2 * (k % 4) & 3) << 8
        values += _decode_group("IQ2_S", place, block[34 + k], _scale(d, levels[k // 2]))
    return values
