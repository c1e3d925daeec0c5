"""IQ3_XXS and IQ3_S: four magnitudes at a time are a point of a grid, in sub-blocks of 32 with a scale each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import gguf.quants
import numpy as np

from oracle.scalars import Block, F, clamp, half, half_at, nearest_int

#: Four odd magnitudes 1..15.
Point = tuple[int, ...]
_FLOAT_MAX = np.finfo(np.float32).max


@dataclass
class Grid:
    """The points in the order of their numbers, and what they decode to."""

    points: list[Point]
    values: list[list[F]]
    shells: int  #: a magnitude that is no point has the points of so many distances for neighbours
    numbers: dict[Point, int] = field(init=False)
    lists: dict[Point, list[Point]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = {point: number for number, point in enumerate(self.points)}

    def near(self, pattern: Point) -> list[Point]:
        """The neighbours of a pattern, by distance, then by number."""
        if pattern not in self.lists:
            by_distance: dict[int, list[Point]] = {}
            for point in self.points:
                distance = sum((a - b) ** 2 for a, b in zip(point, pattern, strict=True))
                by_distance.setdefault(distance, []).append(point)
            shells = sorted(by_distance)[: self.shells]
            self.lists[pattern] = [point for distance in shells for point in by_distance[distance]]
        return self.lists[pattern]


@cache
def _grid(name: str) -> Grid:
    table: Any = getattr(gguf.quants, name)
    table.init_grid()
    values = [[F(value) for value in point] for point in table.grid.reshape(-1, 4)]
    points = [tuple(2 * table.grid_map.index(int(value)) + 1 for value in point) for point in values]
    return Grid(points, values, 2 if name == "IQ3_XXS" else 3)


@dataclass
class Fit:
    """A sub-block's scale, points, and the eight signs of each two of these as a byte."""

    scale: F
    points: list[Point]
    signs: list[int]


@dataclass(frozen=True)
class Kind:
    """What differs between the types."""

    name: str
    reach: int
    least: F
    even: bool  #: of eight signs an even number is negative
    whole: bool  #: the last rounding takes all groups, not only those off the grid


_XXS = Kind("IQ3_XXS", 15, F(1e-8), even=True, whole=False)
_S = Kind("IQ3_S", 9, F(0), even=False, whole=True)


def _signs_off(x: Block, w: Block, kind: Kind) -> tuple[list[F], list[int]]:
    """The magnitudes, and eight signs a byte."""
    values = [value if value >= 0 else -value for value in x]
    signs = []
    for start in range(0, 32, 8):
        byte = sum((not x[start + i] >= 0) << i for i in range(8))
        if kind.even and byte.bit_count() % 2:
            costs = [w[i] * x[i] * x[i] for i in range(start, start + 8)]
            least = 0
            for i in range(1, 8):
                least = i if costs[i] < costs[least] else least
            values[start + least] = -values[start + least]
            byte ^= 1 << least
        signs.append(byte)
    return values, signs


def _pattern(values: list[F], inverse: F) -> Point:
    return tuple(2 * clamp(nearest_int(F(0.5) * (inverse * value - F(1))), 0, 7) + 1 for value in values)


def _nearest(values: list[F], roots: list[F], pattern: Point, scale: F, grid: Grid) -> Point:
    """The first point of the smallest distance; the first of all where every distance overflows."""
    points = grid.near(pattern)
    chosen, best = points[0], _FLOAT_MAX
    for point in points:
        distance = F(0)
        for q, value, root in zip(point, values, roots, strict=True):
            difference = scale * F(q) - value
            distance += root * difference * difference
        if distance < best:
            chosen, best = point, distance
    return chosen


def _sums(values: list[F], w: Block, points: list[Point]) -> tuple[F, F]:
    sum_qx = sum_q2 = F(0)
    for value, weight, q in zip(values, w, (F(q) for point in points for q in point), strict=True):
        sum_qx += weight * value * q
        sum_q2 += weight * q * q
    return sum_qx, sum_q2


def fit_sub_block(x: Block, w: Block, kind: Kind) -> Fit:
    grid = _grid(kind.name)
    values, signs = _signs_off(x, w, kind)
    roots = [np.sqrt(weight) for weight in w]
    largest = max(values)
    if largest < kind.least or largest == 0:
        return Fit(F(0), [(1, 1, 1, 1)] * 8, [0] * 4)

    groups = [slice(start, start + 4) for start in range(0, 32, 4)]
    best, scale = F(0), largest / F(15)
    points: list[Point] = [(1, 1, 1, 1)] * 8
    on_grid = [not kind.whole] * 8
    for step in range(-kind.reach, kind.reach + 1):
        inverse = (F(15) + F(step) * F(0.2)) / largest
        patterns = [_pattern(values[group], inverse) for group in groups]
        found = [
            pattern if pattern in grid.numbers else _nearest(values[group], roots[group], pattern, F(1) / inverse, grid)
            for group, pattern in zip(groups, patterns, strict=True)
        ]
        sum_qx, sum_q2 = _sums(values, w, found)
        if sum_q2 > 0 and sum_qx * sum_qx > best * sum_q2:
            scale = sum_qx / sum_q2
            best = scale * sum_qx
            points, on_grid = found, [pattern in grid.numbers for pattern in patterns]
    if not all(on_grid) and scale > 0:
        for k, group in enumerate(groups):
            if kind.whole or not on_grid[k]:
                pattern = _pattern(values[group], F(1) / scale)
                known = pattern in grid.numbers
                points[k] = pattern if known else _nearest(values[group], roots[group], pattern, scale, grid)
        sum_qx, sum_q2 = _sums(values, w, points)
        scale = sum_qx / sum_q2 if sum_q2 > 0 else scale
    if scale < 0:
        return Fit(-scale, points, [byte ^ 255 for byte in signs])
    return Fit(scale, points, signs)


def _fits(x: Block, importance: Block | None, kind: Kind) -> tuple[list[Fit], F]:
    """The sub-blocks' fits, and the largest scale."""
    sum_x2 = F(0)
    for value in x:
        sum_x2 += value * value
    variance = F(2) * sum_x2 / F(256)
    w = x * x if importance is None else importance * np.sqrt(variance + x * x)
    fits = [fit_sub_block(x[start : start + 32], w[start : start + 32], kind) for start in range(0, 256, 32)]
    highest = F(0)
    for fit in fits:
        highest = fit.scale if fit.scale > highest else highest
    return fits, highest


def _level(scale: F, d: F) -> int:
    return clamp(nearest_int(F(0.5) * (F(1) / d * scale - F(1))), 0, 15)


def encode_iq3_xxs(x: Block, importance: Block | None = None) -> bytes:
    fits, highest = _fits(x, importance, _XXS)
    if highest == 0:
        return bytes(98)
    d = highest / F(31)
    numbers = _grid("IQ3_XXS").numbers
    qs = bytes(numbers[point] for fit in fits for point in fit.points)
    heads = b""
    for fit in fits:
        head = sum((byte & 127) << 7 * k for k, byte in enumerate(fit.signs)) | _level(fit.scale, d) << 28
        heads += head.to_bytes(4, "little")
    return half(d * F(1.0125)) + qs + heads


def decode_iq3_xxs(block: bytes) -> list[F]:
    grid, d = _grid("IQ3_XXS"), half_at(block, 0)
    values = []
    for i in range(256):
        head = int.from_bytes(block[66 + i // 32 * 4 :][:4], "little")
        signs = head >> i // 8 % 4 * 7 & 127
        signs |= signs.bit_count() % 2 << 7
        scale = d * (F(0.5) + F(head >> 28)) * F(0.5)
        values.append(scale * grid.values[block[2 + i // 4]][i % 4] * F(-1 if signs >> i % 8 & 1 else 1))
    return values


def encode_iq3_s(x: Block, importance: Block | None = None) -> bytes:
    fits, highest = _fits(x, importance, _S)
    d = highest / F(31)
    numbers = [_grid("IQ3_S").numbers[point] for fit in fits for point in fit.points]
    # Sub-blocks of zeros write nothing, not even zeros: those behind them move up.
    written = [fit for fit, part in zip(fits, x.reshape(8, 32), strict=True) if part.any()]
    qs = bytes(_grid("IQ3_S").numbers[point] & 255 for fit in written for point in fit.points).ljust(64, b"\0")
    qh = sum((number >> 8) << k for k, number in enumerate(numbers)).to_bytes(8, "little")
    signs = bytes(byte for fit in written for byte in fit.signs).ljust(32, b"\0")
    levels = [_level(fit.scale, d) if highest else 0 for fit in fits]
    scales = bytes(levels[j] | levels[j + 1] << 4 for j in range(0, 8, 2))
    return half(d * F(1.033)) + qs + qh + signs + scales


def decode_iq3_s(block: bytes) -> list[F]:
    grid, d = _grid("IQ3_S"), half_at(block, 0)
    qh, signs = int.from_bytes(block[66:74], "little"), int.from_bytes(block[74:106], "little")
    values = []
    for i in range(256):
        scale = d * F(1 + 2 * (block[106 + i // 64] >> i // 32 % 2 * 4 & 15))
        number = block[2 + i // 4] | (qh >> i // 4 & 1) << 8
        values.append(scale * grid.values[number][i % 4] * F(-1 if signs >> i & 1 else 1))
    return values


def _rows(encode: Callable[[Block, Block | None], bytes]) -> Callable[[Block, Block], bytes]:
    def encode_row(row: Block, importance: Block) -> bytes:
        pairs = zip(row.reshape(-1, 256), importance.reshape(-1, 256), strict=True)
        return b"".join(encode(x, counts) for x, counts in pairs)

    return encode_row


encode_iq3_xxs_row = _rows(encode_iq3_xxs)
encode_iq3_s_row = _rows(encode_iq3_s)
