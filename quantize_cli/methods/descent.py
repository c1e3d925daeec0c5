"""Coordinate descent over levels and scales: each step is the best one for what it changes.

What falls is f = D H D^T of each row, where D = W - Q. With G = D H known, a change of one coordinate that moves D by
t * u changes f by 2 t (u G) + t^2 (u H u), whose best t is at hand. Levels take the nearest point to it, d and dmin
together the nearest float16, scales and lows inside a super-block the nearest whole numbers. Each lane is a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.methods.grid_shape import Fitted, GridShape, add_products, nearest_level, point_of
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
#: The largest float16.
_LARGEST_HALF = F(65504)
#: The part of its factors that the determinant of d's and dmin's equations needs, so that they can be told apart.
_APART = F(1e-4)


class _Tile(NamedTuple):
    """One tile of `Fitted`, and room."""

    heads: Lanes
    scales: Lanes
    lows: Lanes
    levels: Lanes
    error: Lanes  #: D = W - Q
    slope: Lanes  #: G = D H
    moved: Lanes  #: a block's change of D
    along: Lanes  #: u of a block
    low_along: Lanes
    curved: Lanes  #: H u of a block
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
    columns = hessian.shape[0]
    error, slope = new_lanes(columns), new_lanes(columns)
    moved, along, low_along = new_lanes(shape.block), new_lanes(shape.block), new_lanes(shape.block)
    curved, low_curved = new_lanes(shape.block), new_lanes(shape.block)
    for number in range(tiles.shape[0]):
        tile = _Tile(
            fitted.heads[number],
            fitted.scales[number],
            fitted.lows[number],
            fitted.levels[number],
            error,
            slope,
            moved,
            along,
            low_along,
            curved,
            low_curved,
        )
        _start(tiles[number], hessian, tile, shape)
        for _ in range(sweeps):
            for first in range(0, columns, shape.block):
                _descend_block(first, hessian, tile, shape)


@inner
def _value(first: int, j: int, tile: _Tile, shape: GridShape) -> Floats:
    """Compute weight j of the block at column `first`, as the type's decoder does."""
    head, group = first // shape.block * 2 * LANES, (first + j) // shape.group * LANES
    level = load(tile.levels, (first + j) * LANES)
    scale, low = (
        load(tile.heads, head) * load(tile.scales, group),
        load(tile.heads, head + LANES) * load(tile.lows, group),
    )
    value: Floats = scale * point_of(level, shape) - low
    return value


@inner
def _start(weights: Lanes, hessian: NDArray[np.float32], tile: _Tile, shape: GridShape) -> None:
    columns = hessian.shape[0]
    for first in range(0, columns, shape.block):
        for j in range(shape.block):
            column = (first + j) * LANES
            store(tile.error, column, load(weights, column) - _value(first, j, tile, shape))
            store(tile.slope, column, splat(F(0)))
    add_products(tile.slope, tile.error, hessian, 0, columns, 0, columns)


@inner
def _descend_block(first: int, hessian: NDArray[np.float32], tile: _Tile, shape: GridShape) -> None:
    """Go through one block, and tell the columns of the other blocks."""
    for j in range(shape.block):
        store(tile.moved, j * LANES, load(tile.error, (first + j) * LANES))
    if shape.least_scale < shape.largest_scale:
        _step_scales(first, hessian, tile, shape)
    if shape.least_low < shape.largest_low:
        _step_lows(first, hessian, tile, shape)
    _step_heads(first, hessian, tile, shape)
    _step_levels(first, hessian, tile, shape)
    changed = False
    for j in range(shape.block):
        moved = load(tile.error, (first + j) * LANES) - load(tile.moved, j * LANES)
        store(tile.moved, j * LANES, moved)
        changed |= any_lane(moved != F(0))
    if changed:
        add_products(tile.slope, tile.moved, hessian, first, shape.block, 0, first)
        add_products(tile.slope, tile.moved, hessian, first, shape.block, first + shape.block, hessian.shape[0])


@inner
def _step_levels(first: int, hessian: NDArray[np.float32], tile: _Tile, shape: GridShape) -> None:
    head = first // shape.block * 2 * LANES
    for j in range(shape.block):
        column, group = first + j, (first + j) // shape.group * LANES
        scale, low = (
            load(tile.heads, head) * load(tile.scales, group),
            load(tile.heads, head + LANES) * load(tile.lows, group),
        )
        old = load(tile.levels, column * LANES)
        value = scale * point_of(old, shape) - low
        wanted = value + load(tile.slope, column * LANES) / hessian[column, column]
        level = nearest_level((wanted + low) / scale, shape)
        level = select(scale == F(0), old, level)
        change = value - (scale * point_of(level, shape) - low)
        if any_lane(change != F(0)):
            store(tile.levels, column * LANES, level)
            store(tile.error, column * LANES, load(tile.error, column * LANES) + change)
            for k in range(first, first + shape.block):
                store(tile.slope, k * LANES, load(tile.slope, k * LANES) + change * hessian[k, column])


@inner
def _move(first: int, start: int, stop: int, step: Floats, along: Lanes, curved: Lanes, tile: _Tile) -> None:
    """Change D by -step * along in the columns `start:stop` of a block, and G, in the block, by -step * curved."""
    for j in range(start, stop):
        place = (first + j) * LANES
        store(tile.error, place, load(tile.error, place) - step * load(along, j * LANES))
    for j in range(tile.moved.size // LANES):
        place = (first + j) * LANES
        store(tile.slope, place, load(tile.slope, place) - step * load(curved, j * LANES))


@inner
def _curve(first: int, start: int, stop: int, hessian: NDArray[np.float32], along: Lanes, curved: Lanes) -> None:
    """Compute H u in a block for a u that is not 0 in its columns `start:stop`."""
    size = curved.size // LANES
    for k in range(size):
        total = splat(F(0))
        for j in range(start, stop):
            total += load(along, j * LANES) * hessian[first + k, first + j]
        store(curved, k * LANES, total)


@inner
def _dot(first: int, second: Lanes, start: int, along: Lanes, stop: int) -> Floats:
    """Multiply columns `start:stop` of a block's vector by those of `second`, in which the block begins at `first`."""
    total = splat(F(0))
    for j in range(start, stop):
        total += load(along, j * LANES) * load(second, (first + j) * LANES)
    return total


@inner
def _step_scales(first: int, hessian: NDArray[np.float32], tile: _Tile, shape: GridShape) -> None:
    """Step each scale of a block to the best whole number."""
    d = load(tile.heads, first // shape.block * 2 * LANES)
    for start in range(0, shape.block, shape.group):
        stop, group = start + shape.group, (first + start) // shape.group * LANES
        for j in range(start, stop):
            store(tile.along, j * LANES, d * point_of(load(tile.levels, (first + j) * LANES), shape))
        _curve(first, start, stop, hessian, tile.along, tile.curved)
        best = _dot(first, tile.slope, start, tile.along, stop) / _dot(0, tile.curved, start, tile.along, stop)
        old = load(tile.scales, group)
        new = clamped(nearest(old + best), shape.least_scale, shape.largest_scale)
        new = select(magnitude(best) < F(1e6), new, old)  # false for NaN
        if any_lane(new != old):
            store(tile.scales, group, new)
            _move(first, start, stop, new - old, tile.along, tile.curved, tile)


@inner
def _step_lows(first: int, hessian: NDArray[np.float32], tile: _Tile, shape: GridShape) -> None:
    """Step each low of a block to the best whole number."""
    dmin = load(tile.heads, first // shape.block * 2 * LANES + LANES)
    for start in range(0, shape.block, shape.group):
        stop, group = start + shape.group, (first + start) // shape.group * LANES
        for j in range(start, stop):
            store(tile.along, j * LANES, F(0) - dmin)
        _curve(first, start, stop, hessian, tile.along, tile.curved)
        best = _dot(first, tile.slope, start, tile.along, stop) / _dot(0, tile.curved, start, tile.along, stop)
        old = load(tile.lows, group)
        new = clamped(nearest(old + best), shape.least_low, shape.largest_low)
        new = select(magnitude(best) < F(1e6), new, old)  # false for NaN
        if any_lane(new != old):
            store(tile.lows, group, new)
            _move(first, start, stop, new - old, tile.along, tile.curved, tile)


@inner
def _step_heads(first: int, hessian: NDArray[np.float32], tile: _Tile, shape: GridShape) -> None:
    """Step d and dmin of a block together to the best float16 of each."""
    head, size = first // shape.block * 2 * LANES, shape.block
    for j in range(size):
        group = (first + j) // shape.group * LANES
        store(tile.along, j * LANES, load(tile.scales, group) * point_of(load(tile.levels, (first + j) * LANES), shape))
        store(tile.low_along, j * LANES, F(0) - load(tile.lows, group))
    _curve(first, 0, size, hessian, tile.along, tile.curved)
    slope, curve = _dot(first, tile.slope, 0, tile.along, size), _dot(0, tile.curved, 0, tile.along, size)
    low_slope = low_curve = across = splat(F(0))
    step, low_step = slope / curve, splat(F(0))
    if shape.least_low != F(0) or shape.largest_low != F(0):
        _curve(first, 0, size, hessian, tile.low_along, tile.low_curved)
        low_slope = _dot(first, tile.slope, 0, tile.low_along, size)
        low_curve = _dot(0, tile.low_curved, 0, tile.low_along, size)
        across = _dot(0, tile.curved, 0, tile.low_along, size)
        determinant = curve * low_curve - across * across
        apart = determinant > _APART * (curve * low_curve)
        step = select(apart, (slope * low_curve - low_slope * across) / determinant, step)
        low_step = select(apart, (low_slope * curve - slope * across) / determinant, low_step)
    d, dmin = load(tile.heads, head), load(tile.heads, head + LANES)
    new_d, new_dmin = _half(d + step, d), _half(dmin + low_step, dmin)
    step, low_step = new_d - d, new_dmin - dmin
    gain = F(2) * (step * slope + low_step * low_slope)
    loss = step * step * curve + F(2) * (step * low_step * across) + low_step * low_step * low_curve
    better = gain > loss
    if any_lane(better):
        store(tile.heads, head, select(better, new_d, d))
        store(tile.heads, head + LANES, select(better, new_dmin, dmin))
        step, low_step = select(better, step, F(0)), select(better, low_step, F(0))
        _move(first, 0, size, step, tile.along, tile.curved, tile)
        if shape.least_low != F(0) or shape.largest_low != F(0):
            _move(first, 0, size, low_step, tile.low_along, tile.low_curved, tile)


@inner
def _half(value: Floats, other: Floats) -> Floats:
    """Round to float16, and take the other one where that is not finite."""
    usable = magnitude(value) <= _LARGEST_HALF  # false for NaN
    half = from_halves(to_halves(select(usable, value, other)))
    rounded: Floats = select(usable, half, other)
    return rounded
