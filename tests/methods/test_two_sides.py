"""The descent of a matrix whose rows' errors add."""

from __future__ import annotations

import numpy as np

from methods import kernel_twin as twin
from methods.problems import GRIDS, KINDS, F, each, hessian, searched, weights
from quantize_cli.methods import two_sides
from quantize_cli.methods.two_sides import descend_rows

ROWS = 6


def descended(name, rows, inputs, outputs):
    """What becomes of the search's blocks: packed rows, and D as the descent has left it."""
    held = GRIDS[name]
    packed = twin.put_together(held, searched(held, rows))
    error = rows - twin.values_of(held, twin.taken_apart(held, packed))
    descend_rows(packed, held, error, outputs @ error @ inputs, inputs, outputs)
    return packed, error


def total(change, inputs, outputs):
    """tr(H_out D H_in D^T)."""
    change, inputs, outputs = (held.astype(np.float64) for held in (change, inputs, outputs))
    return float(((outputs @ change @ inputs) * change).sum())


def problem(name, rows=ROWS):
    columns = GRIDS[name].block_size * (1 if GRIDS[name].block_size == 256 else 2)
    return weights(rows, columns), hessian(columns), hessian(rows, seed=1, damping=1)


@each(GRIDS)
def test_it_falls_and_the_blocks_are_what_is_told_of_them(name):
    rows, inputs, outputs = problem(name)
    held = GRIDS[name]
    before = searched(held, rows)
    packed, error = descended(name, rows, inputs, outputs)
    values = np.empty_like(rows)
    held.dequantize(packed, values)
    assert total(rows - values, inputs, outputs) < 0.95 * total(rows - twin.values_of(held, before), inputs, outputs)
    size = np.abs(rows).max(1, keepdims=True)
    assert (np.abs(rows - values - error) <= 1e-5 * size).all()
    after = twin.taken_apart(held, packed)
    for which in ("heads", "scales", "lows"):
        assert np.array_equal(getattr(after, which), getattr(before, which)), which
    assert np.array_equal(twin.put_together(held, after), packed)


@each(KINDS)
def test_levels_are_the_twins(name, monkeypatch):
    monkeypatch.setattr(two_sides, "SWEEPS", 1)
    rows, inputs, outputs = problem(name, rows=3)
    held = GRIDS[name]
    packed, error = descended(name, rows, inputs, outputs)
    expected = searched(held, rows)
    slow_error = rows - twin.values_of(held, expected)
    slow_slope = outputs @ slow_error @ inputs
    twin.descend_rows(held, expected, slow_error, slow_slope, inputs, outputs, 1)
    assert np.array_equal(twin.taken_apart(held, packed).levels, expected.levels)
    assert np.array_equal(error, slow_error)


@each(["Q4_0", "Q4_1", "IQ4_NL", "Q3_K"])
def test_rows_that_do_not_add_descend_on_their_own(name):
    """The levels of one block are those of the descent of each row."""
    columns = GRIDS[name].block_size
    rows, inputs = weights(ROWS, columns), hessian(columns)
    expected = searched(GRIDS[name], rows)
    slow = twin.Descent(rows, inputs, GRIDS[name], expected)
    packed = twin.put_together(GRIDS[name], expected)
    error, slope = slow.error.copy(), slow.slope.copy()
    descend_rows(packed, GRIDS[name], error, slope, inputs, np.eye(ROWS, dtype=F))
    for _ in range(two_sides.SWEEPS):
        slow.levels(0)
    assert np.array_equal(twin.taken_apart(GRIDS[name], packed).levels, expected.levels)
    assert np.array_equal(error, slow.error)


@each(KINDS)
def test_hard_rows_stay_finite(name):
    rows, inputs, outputs = problem(name)
    rows[0], rows[1], rows[2] = 0, F(1e-40), F(6e4)
    packed, error = descended(name, rows, inputs, outputs)
    values = np.empty_like(rows)
    GRIDS[name].dequantize(packed, values)
    assert np.isfinite(values).all()
    assert np.isfinite(error).all()
