"""The kernel of the descent: a plain twin has the same bits, nothing rises, and at the end nothing is left to gain."""

from __future__ import annotations

import numpy as np
import pytest

from methods import kernel_twin as twin
from methods.problems import GRIDS, KINDS, F, each, hessian, loss, same, searched, weights
from quantize_cli.methods.descent import descend
from quantize_cli.methods.grid_shape import shape_of


def descended(name, rows, matrix, parts, sweeps=1):
    """What the kernel makes of parts, which stay as they are."""
    fitted = twin.fitted_of(parts)
    descend(twin.in_lanes(rows), matrix, fitted, shape_of(GRIDS[name]), sweeps)
    return twin.parts_of(fitted, len(rows))


def problem(name, rows=4, blocks=None):
    """Weights, a Hessian, and where the search ends."""
    held = GRIDS[name]
    columns = held.block_size * (blocks or (1 if held.block_size == 256 else 3))
    made = weights(rows, columns)
    return made, hessian(columns), searched(held, made)


def loss_of(name, rows, matrix, parts):
    return loss(rows - twin.values_of(GRIDS[name], parts), matrix)


@each(GRIDS)
def test_blocks_are_the_twins(name):
    rows, matrix, parts = problem(name)
    found, expected = descended(name, rows, matrix, parts, 2), parts.copied()
    slow = twin.Descent(rows, matrix, GRIDS[name], expected)
    slow.sweep()
    slow.sweep()
    assert same(found, expected)
    assert not np.array_equal(found.levels, parts.levels)


@pytest.mark.slow
@each([name for name in GRIDS if GRIDS[name].block_size == 256])
def test_several_super_blocks_are_the_twins(name):
    rows, matrix, parts = problem(name, blocks=3)
    found, expected = descended(name, rows, matrix, parts, 2), parts.copied()
    slow = twin.Descent(rows, matrix, GRIDS[name], expected)
    slow.sweep()
    slow.sweep()
    assert same(found, expected)


@each(GRIDS)
def test_no_sweep_makes_a_row_worse(name):
    rows, matrix, parts = problem(name, rows=6)
    losses = [loss_of(name, rows, matrix, parts)]
    for _ in range(4):
        parts = descended(name, rows, matrix, parts)
        losses.append(loss_of(name, rows, matrix, parts))
    assert (np.diff(losses, axis=0) <= 1e-5 * losses[0]).all()
    assert (losses[-1] < 0.9 * losses[0]).all()


@each(KINDS)
def test_at_the_end_no_single_change_helps(name):
    """Any other level of any weight, any other scale or low of any group, and the neighbours of d and dmin."""
    rows, matrix, parts = problem(name, rows=2, blocks=1)
    for _ in range(40):
        before, parts = parts, descended(name, rows, matrix, parts)
        if same(before, parts):
            break
    else:
        pytest.fail("it does not end")
    held, grid, final = GRIDS[name], twin.grid_of(GRIDS[name]), loss_of(name, rows, matrix, parts)
    values = twin.values_of(held, parts).astype(np.float64)
    wide = matrix.astype(np.float64)
    slope = (rows - values) @ wide
    scale, low = twin.steps_of(held, parts)
    tried = 0
    for level, point in enumerate(grid.points):
        moved = values - (scale * F(point) - low)
        after = final[:, None] + 2 * moved * slope + moved**2 * np.diagonal(wide)
        assert (after >= final[:, None] * (1 - 1e-5)).all(), f"level {level}"
        tried += moved.size
    for other in _changed(held, parts):
        assert (loss_of(name, rows, matrix, other) >= final * (1 - 1e-3)).all()
        tried += 1
    assert tried > 1000


def _changed(held, parts):
    """Yield parts with another scale or low of one group in each row, or with a neighbour of d or dmin."""
    grid = twin.grid_of(held)
    for which, (least, largest) in (("scales", grid.scales), ("lows", grid.lows)):
        groups = getattr(parts, which).shape[1]
        for group in range(groups) if least < largest else ():
            for step in (-2, -1, 1, 2):
                other = parts.copied()
                place = getattr(other, which)[:, group]
                place[:] = np.clip(place + F(step), least, largest)
                yield other
    for head in range(parts.heads.shape[1]):
        for up in (-np.inf, np.inf):
            other = parts.copied()
            other.heads[:, head] = np.nextafter(other.heads[:, head].astype(np.float16), np.float16(up))
            yield other


@each(GRIDS)
def test_rows_of_zeros_stay_as_they_are(name):
    made, matrix, _ = problem(name, rows=2)
    rows = made * F([[1], [0]])
    parts = searched(GRIDS[name], rows)
    found = descended(name, rows, matrix, parts, 2)
    assert not np.array_equal(found.levels[0], parts.levels[0])
    assert same(_row(found, 1), _row(parts, 1))
    assert not twin.values_of(GRIDS[name], found)[1].any()


@each(KINDS)
def test_levels_without_a_scale_to_be_found_keep_their_level(name):
    """Where d is 0 and all levels stand for 0, neither d nor a scale can be told."""
    rows, matrix, parts = problem(name, rows=1)
    parts.heads[:], parts.levels[:] = 0, np.argmin(np.abs(twin.grid_of(GRIDS[name]).points))
    if twin.points_of(GRIDS[name], parts.levels).any():  # IQ4_NL's points lack 0
        parts.scales[:] = 0
    if twin.grid_of(GRIDS[name]).lows != (0, 0):
        parts.lows[:] = 0
    assert same(descended(name, rows, matrix, parts, 2), parts)


HARD = {
    "zeros": lambda rows: rows * 0,
    "huge": lambda rows: np.sign(rows) * F(6e4),
    "denormal": lambda rows: np.sign(rows) * F(1e-40),
    "near float16's smallest": lambda rows: rows * F(1e-8),
    "equal": lambda rows: rows * 0 + F(0.7),
    "one weight": lambda rows: rows * (np.arange(rows.shape[1]) == 5),
}


@each(GRIDS)
def test_hard_rows_stay_finite_and_do_not_get_worse(name):
    made, matrix, _ = problem(name, rows=1, blocks=1)
    rows = np.ascontiguousarray(np.concatenate([change(made) for change in HARD.values()]), F)
    parts = searched(GRIDS[name], rows)
    found = descended(name, rows, matrix, parts, 4)
    assert all(np.isfinite(part).all() for part in found)
    before, after = (loss_of(name, rows, matrix, held) for held in (parts, found))
    assert (after <= before * (1 + 1e-5)).all(), dict(zip(HARD, after / np.maximum(before, 1e-300), strict=True))


@each(["Q4_0", "Q4_1"])
def test_other_rows_of_a_tile_do_not_change_a_row(name):
    rows, matrix, parts = problem(name, rows=33)
    found = descended(name, rows, matrix, parts, 3)
    for number in (0, 7, 32):
        alone = descended(name, rows[number : number + 1], matrix, _row(parts, number), 3)
        assert same(alone, _row(found, number))


def _row(parts, number):
    return twin.Parts(*(part[number : number + 1] for part in parts))
