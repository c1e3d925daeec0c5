"""IQ1_S and IQ1_M: eight levels 0..2 at a time from a grid of 2048 patterns; x ~ scale * (level - 1 + shift)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain

import numpy as np
from gguf.quants import IQ1_S

from oracle.scalars import Block, F, clamp, half, half_at, nearest_int

Pattern = tuple[int, ...]
#: Sum of w q x, sum of w q q, both boundaries in ascending order, and the signs of the halves' shifts.
Candidate = tuple[F, F, int, int, str]
Splits = Callable[[Block, Block, Sequence[int]], Iterator[Candidate]]
#: Scale, signs of the halves' shifts, and numbers of the grid points.
Fit = tuple[F, str, list[int]]

#: Values of the levels with a shift of 1/8 and of -1/8.
PLUS = tuple(F(level) + F(0.125) for level in (-1, 0, 1))
MINUS = tuple(F(level) - F(0.125) for level in (-1, 0, 1))
LARGEST = F(np.finfo(np.float32).max)


@cache
def grid() -> list[Pattern]:
    IQ1_S.init_grid()  # type: ignore[no-untyped-call, unused-ignore]
    assert IQ1_S.grid is not None
    return [tuple(int(value) + 1 for value in point) for point in IQ1_S.grid.reshape(-1, 8)]


@cache
def numbers() -> dict[Pattern, int]:
    return {point: number for number, point in enumerate(grid())}


@cache
def neighbours(pattern: Pattern) -> list[int]:
    """The grid points at the three smallest distances that occur: nearer ones first, then by number."""
    distances = [sum((a - b) ** 2 for a, b in zip(pattern, point, strict=True)) for point in grid()]
    furthest = sorted(set(distances))[2]
    near = [number for number, distance in enumerate(distances) if distance <= furthest]
    return sorted(near, key=lambda number: (distances[number], number))


def _weights(x: Block, row_importance: Block | None) -> Block:
    """Of the errors of a super-block."""
    if row_importance is None:
        return x * x
    total = F(0)
    for value in x:
        total += value * value
    variance = F(2) * total / F(256)
    return np.array([i * np.sqrt(variance + value * value) for i, value in zip(row_importance, x, strict=True)], F)


def _prefixes(order: Sequence[int], values: Sequence[F], members: range) -> list[F]:
    """Sums of the first n values in that order, n = 0.., of those elements that are members."""
    sums = [F(0)]
    for i in order:
        sums.append(sums[-1] + values[i] if i in members else sums[-1])
    return sums


def _splits_s(x: Block, w: Block, order: Sequence[int]) -> Iterator[Candidate]:
    """All splits in three, each with either shift."""
    size = len(x)
    sx = _prefixes(order, list(w * x), range(size))
    sw = _prefixes(order, list(w), range(size))
    for i in range(size + 1):
        for j in range(i, size + 1):
            for values, signs in ((PLUS, "++"), (MINUS, "--")):
                a, b, c = values
                qx = sx[i] * a + (sx[j] - sx[i]) * b + (sx[size] - sx[j]) * c
                q2 = sw[i] * a * a + (sw[j] - sw[i]) * b * b + (sw[size] - sw[j]) * c * c
                yield qx, q2, i, j, signs


def _splits_m(x: Block, w: Block, order: Sequence[int]) -> Iterator[Candidate]:
    """All splits in three, each with four pairs of shifts; each half has sums of its own."""
    size = len(x)
    halves = range(size // 2), range(size // 2, size)
    sx = [_prefixes(order, list(w * x), members) for members in halves]
    sw = [_prefixes(order, list(w), members) for members in halves]
    for i in range(size + 1):
        for j in range(i, size + 1):
            qx, q2 = {}, {}
            for h in range(2):
                for (a, b, c), sign in ((PLUS, "+"), (MINUS, "-")):
                    qx[h, sign] = sx[h][size] * c - (sx[h][i] + sx[h][j])
                    q2[h, sign] = sw[h][size] * c * c + sw[h][i] * (a * a - b * b) + sw[h][j] * (b * b - c * c)
            for signs in ("++", "+-", "-+", "--"):
                yield qx[0, signs[0]] + qx[1, signs[1]], q2[0, signs[0]] + q2[1, signs[1]], i, j, signs


def _nearest_point(pattern: Pattern, x: Block, w: Block, scale: F, values: Sequence[F]) -> int:
    """The number of the pattern, or of its neighbour with the smallest error."""
    if pattern in numbers():
        return numbers()[pattern]
    best, chosen = LARGEST, None
    for number in neighbours(pattern):
        error = F(0)
        for level, value, weight in zip(grid()[number], x, w, strict=True):
            difference = scale * values[level] - value
            error += weight * difference * difference
        if error < best:
            best, chosen = error, number
    if chosen is None:
        raise OverflowError
    return chosen


def _terms(x: Block, w: Block, points: Sequence[int], signs: str, factor: F) -> tuple[list[F], list[F]]:
    """w q x and w q q of the elements of a block."""
    levels = list(chain.from_iterable(grid()[point] for point in points))
    size = len(x)
    q = [(PLUS if signs[2 * i // size] == "+" else MINUS)[levels[i]] * factor for i in range(size)]
    return [w[i] * q[i] * x[i] for i in range(size)], [w[i] * q[i] * q[i] for i in range(size)]


def _total(terms: Sequence[F]) -> F:
    total = F(0)
    for term in terms:
        total += term
    return total


def _fit(x: Block, w: Block, splits: Splits) -> Fit | None:
    """The fit of a block, None if no split explains anything."""
    order = sorted(range(len(x)), key=lambda i: float(x[i]))
    best, found = -LARGEST, None
    for qx, q2, i, j, signs in splits(x, w, order):
        if q2 > 0 and qx * qx > best * q2:
            scale = qx / q2
            best = scale * qx
            found = scale, i, j, signs
    if found is None:
        return None
    scale, i, j, signs = found
    levels = [0] * len(x)
    for place, element in enumerate(order):
        levels[element] = (place >= i) + (place >= j)
    if scale < 0:
        scale = -scale
        levels = [2 - level for level in levels]
        signs = signs.translate(str.maketrans("+-", "-+"))
    points = []
    for start in range(0, len(x), 8):
        values = PLUS if signs[2 * start // len(x)] == "+" else MINUS
        part = slice(start, start + 8)
        points.append(_nearest_point(tuple(levels[part]), x[part], w[part], scale, values))
    if [level for point in points for level in grid()[point]] != levels:
        qx, q2 = map(_total, _terms(x, w, points, signs, F(1)))
        if qx > 0 and q2 > 0:
            scale = qx / q2
    if not scale >= 0:
        raise OverflowError
    return scale, signs, points


def _fit_blocks(x: Block, w: Block, size: int, smallest: float, splits: Splits) -> list[Fit]:
    """The fits of a super-block's blocks; those that are small or have no split get zeros."""
    fits = []
    for start in range(0, 256, size):
        part = slice(start, start + size)
        small = max(abs(x[part])) < F(smallest)
        fit = None if small else _fit(x[part], w[part], splits)
        fits.append(fit or (F(0), "++", [0] * (size // 8)))
    return fits


def _stored(scale: F, inverse: F) -> int:
    return clamp(nearest_int(F(0.5) * (inverse * scale - F(1))), 0, 7)


def _encode_iq1_s(x: Block, importance: Block) -> bytes:
    fits = _fit_blocks(x, _weights(x, importance), 32, 1e-12, _splits_s)
    largest = max(scale for scale, _, _ in fits) or F(0)  # a zero without a sign
    d = largest / F(15)
    qs, qh = b"", b""
    for scale, signs, points in fits:
        high = sum(point >> 8 << 3 * k for k, point in enumerate(points))
        if largest:
            high |= _stored(scale, F(1) / d) << 12 | (signs == "--") << 15
        qs += bytes(point & 255 for point in points)
        qh += high.to_bytes(2, "little")
    return half(d * F(1.125)) + qs + qh


def _encode_iq1_m(x: Block, importance: Block | None) -> bytes:
    w = _weights(x, importance)
    fits = _fit_blocks(x, w, 16, 1e-7, _splits_m)
    largest = max(scale for scale, _, _ in fits) or F(0)  # a zero without a sign
    d = largest / F(15)
    inverse = F(1) / d
    numbers_h = [0] * 4
    qs, qh = b"", b""
    qx, q2 = [], []
    for b, (scale, signs, points) in enumerate(fits):
        qs += bytes(point & 255 for point in points)
        high = points[0] >> 8 | points[1] >> 8 << 4
        if largest:
            level = _stored(scale, inverse)
            numbers_h[b // 4] |= level << b % 4 * 3
            high |= (signs[0] == "-") << 3 | (signs[1] == "-") << 7
            part = slice(16 * b, 16 * b + 16)
            more_qx, more_q2 = _terms(x[part], w[part], points, signs, F(2 * level + 1))
            qx += more_qx
            q2 += more_q2
        qh += bytes([high])
    if largest:
        if _total(q2) > 0:
            d = _total(qx) / _total(q2)
        bits = int.from_bytes(half(d * F(1.1125)), "little")
        numbers_h = [number | (bits >> 4 * j & 15) << 12 for j, number in enumerate(numbers_h)]
    return qs + qh + b"".join(number.to_bytes(2, "little") for number in numbers_h)


def encode_iq1_s_row(row: Block, importance: Block) -> bytes:
    parts = zip(row.reshape(-1, 256), importance.reshape(-1, 256), strict=True)
    return b"".join(_encode_iq1_s(x, weights) for x, weights in parts)


def encode_iq1_m(x: Block) -> bytes:
    return _encode_iq1_m(x, None)


def encode_iq1_m_row(row: Block, importance: Block) -> bytes:
    parts = zip(row.reshape(-1, 256), importance.reshape(-1, 256), strict=True)
    return b"".join(_encode_iq1_m(x, weights) for x, weights in parts)


def _values(point: int, scale: F, negative: int) -> list[F]:
    return [scale * (MINUS if negative else PLUS)[level] for level in grid()[point]]


def decode_iq1_s(block: bytes) -> list[F]:
    d = half_at(block, 0)
    values = []
    for b in range(8):
        high = int.from_bytes(block[34 + 2 * b : 36 + 2 * b], "little")
        scale = d * F(2 * (high >> 12 & 7) + 1)
        for k in range(4):
            values += _values(block[2 + 4 * b + k] | (high >> 3 * k & 7) << 8, scale, high >> 15)
    return values


def decode_iq1_m(block: bytes) -> list[F]:
    numbers_h = [int.from_bytes(block[at : at + 2], "little") for at in range(48, 56, 2)]
    d = half_at(sum((number >> 12) << 4 * j for j, number in enumerate(numbers_h)).to_bytes(2, "little"), 0)
    values = []
    for b in range(16):
        scale = d * F(2 * (numbers_h[b // 4] >> b % 4 * 3 & 7) + 1)
        for h in range(2):
            high = block[32 + b] >> 4 * h
            values += _values(block[2 * b + h] | (high & 7) << 8, scale, high >> 3 & 1)
    return values
