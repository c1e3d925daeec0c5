"""Slow twins of the methods' kernels, in NumPy float32: one addition after the other, in the order of the kernels.

An operation on an array is one on each row, or on each column of a vector, on its own; no sum runs along an axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import BlockType, Grid
from quantize_cli.methods.grid_shape import Fitted
from quantize_cli.simd.vector import LANES

F = np.float32
Rows = NDArray[np.float32]


class Parts(NamedTuple):
    """Rows of blocks, taken apart."""

    heads: Rows  #: float32[rows, 2 * blocks]: d and dmin of each block
    scales: Rows  #: float32[rows, groups]
    lows: Rows  #: float32[rows, groups]
    levels: Rows  #: float32[rows, columns]

    def copied(self) -> Parts:
        """The same in memory of its own."""
        return Parts(*(held.copy() for held in self))


def grid_of(held: BlockType) -> Grid:
    """The grid, which must be there."""
    assert held.grid is not None
    return held.grid


def taken_apart(held: BlockType, packed: NDArray[np.uint8]) -> Parts:
    """The parts of packed rows uint8[rows, row bytes]."""
    grid, blocks = grid_of(held), packed.reshape(-1, held.block_bytes)
    heads, groups = np.empty((len(blocks), 2), F), held.block_size // grid.group
    scales, lows = np.empty((len(blocks), groups), F), np.empty((len(blocks), groups), F)
    levels = np.empty((len(blocks), held.block_size), np.uint8)
    grid.read(blocks, heads, scales, lows, levels)
    return Parts(*(part.reshape(len(packed), -1) for part in (heads, scales, lows, levels.astype(F))))


def put_together(held: BlockType, parts: Parts) -> NDArray[np.uint8]:
    """Packed rows of these parts."""
    grid, count = grid_of(held), parts.levels.size // held.block_size
    packed = np.empty((count, held.block_bytes), np.uint8)
    heads, scales, lows, levels = (np.ascontiguousarray(part.reshape(count, -1)) for part in parts)
    grid.write(heads, scales, lows, levels.astype(np.uint8), packed)
    return packed.reshape(len(parts.levels), -1)


def in_lanes(rows: Rows) -> Rows:
    """LANES rows side by side: [rows, width] as float32[tiles, width * LANES]; zeros fill the last tile."""
    tiles = -(-len(rows) // LANES)
    held = np.zeros((tiles, rows.shape[1], LANES), F)
    for number, row in enumerate(rows):
        held[number // LANES, :, number % LANES] = row
    return held.reshape(tiles, -1)


def out_of_lanes(tiles: Rows, count: int) -> Rows:
    """The first `count` rows of tiles."""
    held = tiles.reshape(len(tiles), -1, LANES)
    return np.stack([held[number // LANES, :, number % LANES] for number in range(count)])


def fitted_of(parts: Parts) -> Fitted:
    """The parts as kernels take them."""
    return Fitted(*map(in_lanes, parts))


def parts_of(fitted: Fitted, count: int) -> Parts:
    """The first `count` rows of what kernels have changed."""
    return Parts(*(out_of_lanes(held, count) for held in fitted))


def points_of(held: BlockType, levels: Rows) -> Rows:
    """What levels stand for."""
    return np.array(grid_of(held).points, F)[levels.astype(np.int64)]


def steps_of(held: BlockType, parts: Parts) -> tuple[Rows, Rows]:
    """d * scale and dmin * low of each weight, float32[rows, columns]."""
    per_block = held.block_size // grid_of(held).group
    d, dmin = (np.repeat(parts.heads[:, which::2], per_block, axis=1) for which in (0, 1))
    group = grid_of(held).group
    return np.repeat(d * parts.scales, group, axis=1), np.repeat(dmin * parts.lows, group, axis=1)


def values_of(held: BlockType, parts: Parts) -> Rows:
    """The weights float32[rows, columns]."""
    scale, low = steps_of(held, parts)
    return scale * points_of(held, parts.levels) - low


def nearest_level(held: BlockType, wanted: Rows) -> Rows:
    """The levels of the points that are nearest, the even one or the upper one of two."""
    points = np.array(grid_of(held).points, F)
    if (np.diff(points) == 1).all():
        return np.clip(np.rint(wanted - points[0]), F(0), F(len(points) - 1)).astype(F)
    middles = (points[1:] + points[:-1]) / F(2)
    return np.sum([wanted >= middle for middle in middles], axis=0).astype(F)


@np.errstate(all="ignore")
def feed_back(rows: Rows, lower: Rows, held: BlockType, parts: Parts, block: int) -> None:
    """Choose the levels of one block of each row, and move the columns behind; rows and levels are changed.

    `parts` are those of all blocks, or of this one alone.
    """
    first, last = block * held.block_size, (block + 1) * held.block_size
    start = 0 if parts.levels.shape[1] == held.block_size else first
    scales, lows = steps_of(held, parts)
    errors = np.zeros_like(rows)
    for column in range(first, last):
        place = start + column - first
        value, scale, low = rows[:, column].copy(), scales[:, place], lows[:, place]
        level = nearest_level(held, (value + low) / scale)
        level = np.where(scale == 0, parts.levels[:, place], level)
        parts.levels[:, place] = level
        errors[:, column] = (scale * points_of(held, level) - low - value) / lower[column, column]
        rows[:, column + 1 : last] += errors[:, column : column + 1] * lower[column + 1 : last, column]
    for column in range(first, last):
        rows[:, last:] += errors[:, column : column + 1] * lower[last:, column]


class Descent:
    """The descent of some rows, which changes `parts`."""

    def __init__(self, rows: Rows, hessian: Rows, held: BlockType, parts: Parts) -> None:
        self._hessian, self._held, self._parts = hessian, held, parts
        self._grid, self._size = grid_of(held), held.block_size
        self.error = rows - values_of(held, parts)
        self.slope = np.zeros_like(rows)
        for column in range(rows.shape[1]):
            self.slope += self.error[:, column : column + 1] * hessian[:, column]

    @np.errstate(all="ignore")
    def sweep(self) -> None:
        """Go through all coordinates once."""
        for first in range(0, self.error.shape[1], self._size):
            inside = slice(first, first + self._size)
            before = self.error[:, inside].copy()
            if self._grid.scales[0] < self._grid.scales[1]:
                self._groups(first, low=False)
            if self._grid.lows[0] < self._grid.lows[1]:
                self._groups(first, low=True)
            self._heads(first)
            self.levels(first)
            moved = self.error[:, inside] - before
            for j in range(self._size):
                change = moved[:, j : j + 1] * self._hessian[:, first + j]
                for outside in (slice(0, first), slice(first + self._size, None)):
                    self.slope[:, outside] += change[:, outside]

    @np.errstate(all="ignore")
    def levels(self, first: int) -> None:
        """Choose the levels of one block."""
        inside = slice(first, first + self._size)
        scales, lows = steps_of(self._held, self._parts)
        for column in range(first, first + self._size):
            scale, low, old = scales[:, column], lows[:, column], self._parts.levels[:, column]
            value = scale * points_of(self._held, old) - low
            wanted = value + self.slope[:, column] / self._hessian[column, column]
            level = nearest_level(self._held, (wanted + low) / scale)
            level = np.where(scale == 0, old, level)
            change = value - (scale * points_of(self._held, level) - low)
            self._parts.levels[:, column] = level
            self.error[:, column] += change
            self.slope[:, inside] += change[:, None] * self._hessian[inside, column]

    def _groups(self, first: int, *, low: bool) -> None:
        """Step the scales of one block, or its lows, to the best whole numbers."""
        size, steps = self._grid.group, self._parts.lows if low else self._parts.scales
        least, largest = map(F, self._grid.lows if low else self._grid.scales)
        head = self._parts.heads[:, first // self._size * 2 + low][:, None]
        for start in range(first, first + self._size, size):
            inside = slice(start, start + size)
            along = head * points_of(self._held, self._parts.levels[:, inside])
            if low:
                along = np.broadcast_to(F(0) - head, along.shape)
            curved = self._curved(first, start, along)
            offset = start - first
            best = _dot(along, self.slope[:, inside]) / _dot(along, curved[:, offset : offset + size])
            old = steps[:, start // size].copy()
            new = np.clip(np.rint(old + best), least, largest).astype(F)
            new = np.where(np.abs(best) < F(1e6), new, old)
            steps[:, start // size] = new
            self._move(first, start, new - old, along, curved)

    def _heads(self, first: int) -> None:
        """Step d and dmin of one block together."""
        held, parts, block = self._held, self._parts, first // self._size
        inside, group = slice(first, first + self._size), self._grid.group
        groups = slice(first // group, (first + self._size) // group)
        along = np.repeat(parts.scales[:, groups], group, axis=1) * points_of(held, parts.levels[:, inside])
        below = F(0) - np.repeat(parts.lows[:, groups], group, axis=1)
        curved = self._curved(first, first, along)
        slope, curve = _dot(along, self.slope[:, inside]), _dot(along, curved)
        step, low_step = slope / curve, np.zeros_like(slope)
        low_slope = low_curve = across = np.zeros_like(slope)
        if self._grid.lows != (0, 0):
            low_curved = self._curved(first, first, below)
            low_slope, low_curve = _dot(below, self.slope[:, inside]), _dot(below, low_curved)
            across = _dot(below, curved)
            determinant = curve * low_curve - across * across
            apart = determinant > F(1e-4) * (curve * low_curve)
            step = np.where(apart, (slope * low_curve - low_slope * across) / determinant, step)
            low_step = np.where(apart, (low_slope * curve - slope * across) / determinant, low_step)
        d, dmin = parts.heads[:, 2 * block].copy(), parts.heads[:, 2 * block + 1].copy()
        new_d, new_dmin = _half(d + step, d), _half(dmin + low_step, dmin)
        step, low_step = new_d - d, new_dmin - dmin
        gain = F(2) * (step * slope + low_step * low_slope)
        loss = step * step * curve + F(2) * (step * low_step * across) + low_step * low_step * low_curve
        better = gain > loss
        parts.heads[:, 2 * block] = np.where(better, new_d, d)
        parts.heads[:, 2 * block + 1] = np.where(better, new_dmin, dmin)
        self._move(first, first, np.where(better, step, F(0)), along, curved)
        if self._grid.lows != (0, 0):
            self._move(first, first, np.where(better, low_step, F(0)), below, low_curved)

    def _curved(self, first: int, start: int, along: Rows) -> Rows:
        """H u in a block, of a u that is not 0 from column `start` on."""
        inside, total = slice(first, first + self._size), np.zeros((len(along), self._size), F)
        for j in range(along.shape[1]):
            total += along[:, j : j + 1] * self._hessian[inside, start + j]
        return total

    def _move(self, first: int, start: int, step: Rows, along: Rows, curved: Rows) -> None:
        self.error[:, start : start + along.shape[1]] -= step[:, None] * along
        self.slope[:, first : first + self._size] -= step[:, None] * curved


def descend_rows(
    held: BlockType, parts: Parts, error: Rows, slope: Rows, inputs: Rows, outputs: Rows, sweeps: int
) -> None:
    """Choose the levels of a matrix whose rows' errors add; levels, error and slope are changed."""
    scales, lows = steps_of(held, parts)
    for row in list(range(len(error))) * sweeps:
        moved = np.zeros(error.shape[1], F)
        for column in range(error.shape[1]):
            scale, low, old = scales[row, column], lows[row, column], parts.levels[row, column]
            if scale == 0:
                continue
            value = scale * points_of(held, old) - low
            wanted = value + slope[row, column] / (outputs[row, row] * inputs[column, column])
            level = nearest_level(held, np.atleast_1d((wanted + low) / scale))[0]
            if level != old:
                change = value - (scale * points_of(held, level) - low)
                parts.levels[row, column] = level
                error[row, column] += change
                moved += change * inputs[column]
                slope[row] += outputs[row, row] * change * inputs[column]
        for other in set(range(len(error))) - {row}:
            slope[other] += outputs[other, row] * moved


def _dot(first: Rows, second: Rows) -> Rows:
    """Multiply the vectors of each row."""
    total = np.zeros(len(first), F)
    for j in range(first.shape[1]):
        total = total + first[:, j] * second[:, j]
    return total


def _half(value: Rows, other: Rows) -> Rows:
    """Round to float16, and take the other one where that is not finite."""
    usable = np.abs(value) <= F(65504)
    return np.where(usable, np.where(usable, value, other).astype(np.float16).astype(F), other)
