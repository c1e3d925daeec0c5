"""Coordinate descent over levels and scales: each step is the best one for what it changes.

What falls is f = D H D^T of each row, where D = W - Q. With G = D H known, a change of one coordinate that moves D by
t * u changes f by 2 t (u G) + t^2 (u H u), whose best t is at hand. Levels take the nearest point to it, d and dmin
together the nearest float16, scales and lows inside a super-block the nearest whole numbers. Each lane is a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.methods.grid_shape import Fitted, GridShape, nearest_level, point_of
from quantize_cli.methods.products import SPAN, add_products, add_to_all, new_tiles
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.half import from_halves, to_halves
from quantize_cli.simd.lanes import Lanes, new_lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    any_lane,
    clamped,
    load,
    magnitude,
    nearest,
    select,
    splat,
    store,
)

F = np.float32
Square = NDArray[np.float32]
#: The largest float16.
_LARGEST_HALF = F(65504)
#: The part of its factors that the determinant of d's and dmin's equations needs, so that they can be told apart.
_APART = F(1e-4)


class _Block(NamedTuple):
    """One block of a tile, and room."""

    heads: Lanes
    scales: Lanes
    lows: Lanes
    levels: Lanes
    error: Lanes  #: D = W - Q
    slope: Lanes  #: G = D H
    moved: Lanes  #: the change of D
    along: Lanes  #: u
    low_along: Lanes
    curved: Lanes  #: H u
    low_curved: Lanes


@kernel
def descend(
    tiles: NDArray[np.float32], hessian: NDArray[np.float32], fitted: Fitted, shape: GridShape, sweeps: int
) -> None:
    """Improve the blocks of some rows.

    Args:
        tiles: The weights W, float32[tiles, columns * LANES].
        hessian: H, float32[columns, columns], symmetric.
        fitted: The blocks, which are changed.
        shape: The grid.
        sweeps: How often all coordinates are gone through.
    """
    count, columns = tiles.shape[0], hessian.shape[0]
    error, slope, moved = new_tiles(count, columns), new_tiles(count, columns), new_tiles(count, SPAN)
    along, low_along = new_lanes(shape.block), new_lanes(shape.block)
    curved, low_curved = new_lanes(shape.block), new_lanes(shape.block)
    for number in range(count):
        _subtract(
            tiles[number],
            fitted.heads[number],
            fitted.scales[number],
            fitted.lows[number],
            fitted.levels[number],
            shape,
            error[number],
        )
    slope[:] = F(0)
    for first in range(0, columns, SPAN):
        add_to_all(slope, error, first, hessian, first, min(SPAN, columns - first), 0, columns)
    for _ in range(sweeps):
        for first in range(0, columns, SPAN):
            last = min(first + SPAN, columns)
            for start in range(first, last, shape.block):
                stop = start + shape.block
                inside = hessian[start:stop, start:stop].copy()
                across = np.ascontiguousarray(inside.T)
                for number in range(count):
                    head, group = start // shape.block * 2 * LANES, start // shape.group * LANES
                    groups = shape.block // shape.group * LANES
                    block = _Block(
                        fitted.heads[number, head : head + 2 * LANES],
                        fitted.scales[number, group : group + groups],
                        fitted.lows[number, group : group + groups],
                        fitted.levels[number, start * LANES : stop * LANES],
                        error[number, start * LANES : stop * LANES],
                        slope[number, start * LANES : stop * LANES],
                        moved[number, (start - first) * LANES : (stop - first) * LANES],
                        along,
                        low_along,
                        curved,
                        low_curved,
                    )
                    _descend(inside, across, block, shape)
                add_to_all(slope, moved, start - first, hessian, start, shape.block, first, start)
                add_to_all(slope, moved, start - first, hessian, start, shape.block, stop, last)
            # What lies outside of the span hears of its blocks together.
            add_to_all(slope, moved, 0, hessian, first, last - first, 0, first)
            add_to_all(slope, moved, 0, hessian, first, last - first, last, columns)


@inner
def _subtract(
    weights: Lanes, heads: Lanes, scales: Lanes, lows: Lanes, levels: Lanes, shape: GridShape, error: Lanes
) -> None:
    """Compute D of a tile; a value is what the type's decoder makes of it."""
    for column in range(levels.size // LANES):
        head, group = column // shape.block * 2 * LANES, column // shape.group * LANES
        scale, low = load(heads, head) * load(scales, group), load(heads, head + LANES) * load(lows, group)
        value = scale * point_of(load(levels, column * LANES), shape) - low
        store(error, column * LANES, load(weights, column * LANES) - value)


@inner
def _descend(inside: Square, across: Square, block: _Block, shape: GridShape) -> None:
    """Go through one block; `inside` is its part of H, and `across` the same, transposed."""
    for j in range(shape.block):
        store(block.moved, j * LANES, load(block.error, j * LANES))
    if shape.least_scale < shape.largest_scale:
        _step_scales(inside, block, shape)
    if shape.least_low < shape.largest_low:
        _step_lows(inside, block, shape)
    _step_heads(inside, block, shape)
    _step_levels(across, block, shape)
    for j in range(shape.block):
        store(block.moved, j * LANES, load(block.error, j * LANES) - load(block.moved, j * LANES))


@inner
def _step_levels(across: Square, block: _Block, shape: GridShape) -> None:
    for j in range(shape.block):
        place, group = j * LANES, j // shape.group * LANES
        scale = load(block.heads, 0) * load(block.scales, group)
        low = load(block.heads, LANES) * load(block.lows, group)
        old = load(block.levels, place)
        value = scale * point_of(old, shape) - low
        wanted = value + load(block.slope, place) / across[j, j]
        level = nearest_level((wanted + low) / scale, shape)
        level = select(scale == F(0), old, level)
        change = value - (scale * point_of(level, shape) - low)
        if any_lane(change != F(0)):
            store(block.levels, place, level)
            store(block.error, place, load(block.error, place) + change)
            for k in range(shape.block):
                store(block.slope, k * LANES, load(block.slope, k * LANES) + change * across[j, k])


@inner
def _move(start: int, stop: int, step: Floats, along: Lanes, curved: Lanes, block: _Block) -> None:
    """Change D by -step * along in the columns `start:stop`, and G by -step * curved."""
    for j in range(start, stop):
        store(block.error, j * LANES, load(block.error, j * LANES) - step * load(along, j * LANES))
    for j in range(curved.size // LANES):
        store(block.slope, j * LANES, load(block.slope, j * LANES) - step * load(curved, j * LANES))


@inner
def _curve(start: int, stop: int, inside: Square, along: Lanes, curved: Lanes) -> None:
    """Compute H u for a u that is not 0 in the columns `start:stop`."""
    size = inside.shape[0]
    for k in range(size):
        store(curved, k * LANES, splat(F(0)))
    add_products(curved, along, start, inside, start, stop - start, 0, size)


@inner
def _dot(first: Lanes, second: Lanes, start: int, stop: int) -> Floats:
    """Multiply the columns `start:stop` of two vectors."""
    total = splat(F(0))
    for j in range(start, stop):
        total += load(first, j * LANES) * load(second, j * LANES)
    return total


@inner
def _step_scales(inside: Square, block: _Block, shape: GridShape) -> None:
    """Step each scale to the best whole number."""
    d = load(block.heads, 0)
    for start in range(0, shape.block, shape.group):
        stop, group = start + shape.group, start // shape.group * LANES
        for j in range(start, stop):
            store(block.along, j * LANES, d * point_of(load(block.levels, j * LANES), shape))
        _step_group(start, stop, block.scales, group, shape.least_scale, shape.largest_scale, inside, block)


@inner
def _step_lows(inside: Square, block: _Block, shape: GridShape) -> None:
    """Step each low to the best whole number."""
    dmin = load(block.heads, LANES)
    for start in range(0, shape.block, shape.group):
        stop, group = start + shape.group, start // shape.group * LANES
        for j in range(start, stop):
            store(block.along, j * LANES, F(0) - dmin)
        _step_group(start, stop, block.lows, group, shape.least_low, shape.largest_low, inside, block)


@inner
def _step_group(
    start: int,
    stop: int,
    steps: Lanes,
    group: int,
    least: np.float32,
    largest: np.float32,
    inside: Square,
    block: _Block,
) -> None:
    """Step what belongs to the columns `start:stop`, along `block.along`, to the best whole number."""
    _curve(start, stop, inside, block.along, block.curved)
    best = _dot(block.along, block.slope, start, stop) / _dot(block.along, block.curved, start, stop)
    old = load(steps, group)
    new = clamped(nearest(old + best), least, largest)
    new = select(magnitude(best) < F(1e6), new, old)  # false for NaN
    if any_lane(new != old):
        store(steps, group, new)
        _move(start, stop, new - old, block.along, block.curved, block)


@inner
def _step_heads(inside: Square, block: _Block, shape: GridShape) -> None:
    """Step d and dmin of a block together to the best float16 of each."""
    size = shape.block
    for j in range(size):
        group = j // shape.group * LANES
        store(block.along, j * LANES, load(block.scales, group) * point_of(load(block.levels, j * LANES), shape))
        store(block.low_along, j * LANES, F(0) - load(block.lows, group))
    _curve(0, size, inside, block.along, block.curved)
    slope, curve = _dot(block.along, block.slope, 0, size), _dot(block.along, block.curved, 0, size)
    low_slope = low_curve = across = splat(F(0))
    step, low_step = slope / curve, splat(F(0))
    if shape.least_low != F(0) or shape.largest_low != F(0):
        _curve(0, size, inside, block.low_along, block.low_curved)
        low_slope = _dot(block.low_along, block.slope, 0, size)
        low_curve = _dot(block.low_along, block.low_curved, 0, size)
        across = _dot(block.low_along, block.curved, 0, size)
        determinant = curve * low_curve - across * across
        apart = determinant > _APART * (curve * low_curve)
        step = select(apart, (slope * low_curve - low_slope * across) / determinant, step)
        low_step = select(apart, (low_slope * curve - slope * across) / determinant, low_step)
    d, dmin = load(block.heads, 0), load(block.heads, LANES)
    new_d, new_dmin = _half(d + step, d), _half(dmin + low_step, dmin)
    step, low_step = new_d - d, new_dmin - dmin
    gain = F(2) * (step * slope + low_step * low_slope)
    loss = step * step * curve + F(2) * (step * low_step * across) + low_step * low_step * low_curve
    better = gain > loss
    if any_lane(better):
        store(block.heads, 0, select(better, new_d, d))
        store(block.heads, LANES, select(better, new_dmin, dmin))
        step, low_step = select(better, step, F(0)), select(better, low_step, F(0))
        _move(0, size, step, block.along, block.curved, block)
        if shape.least_low != F(0) or shape.largest_low != F(0):
            _move(0, size, low_step, block.low_along, block.low_curved, block)


@inner
def _half(value: Floats, other: Floats) -> Floats:
    """Round to float16, and take the other one where that is not finite."""
    usable = magnitude(value) <= _LARGEST_HALF  # false for NaN
    half = from_halves(to_halves(select(usable, value, other)))
    rounded: Floats = select(usable, half, other)
    return rounded
