"""Rows to blocks: search, feedback and descent together."""

from __future__ import annotations

import numpy as np
import pytest

from methods import kernel_twin as twin
from methods.problems import GRIDS, F, curvature, each, hessian, loss, searched, weights
from quantize_cli.methods import gptq
from quantize_cli.methods.gptq import SWEEPS, round_rows


def change_of(name, rows, packed):
    values = np.empty_like(rows)
    GRIDS[name].dequantize(packed, values)
    return rows - values


def columns_of(name):
    return GRIDS[name].block_size * (1 if GRIDS[name].block_size == 256 else 3)


@each(GRIDS)
def test_blocks_are_better_than_the_searchs(name):
    rows, matrix = weights(5, columns_of(name)), hessian(columns_of(name))
    curved = curvature(matrix)
    packed = round_rows(rows, GRIDS[name], curved)
    found = loss(change_of(name, rows, packed), matrix)
    plain = searched(GRIDS[name], rows, np.diagonal(matrix).copy())
    assert (found < 0.8 * loss(rows - twin.values_of(GRIDS[name], plain), matrix)).all()
    assert np.array_equal(twin.put_together(GRIDS[name], twin.taken_apart(GRIDS[name], packed)), packed)


@each(["Q4_0", "Q4_1", "IQ4_NL"])
def test_the_steps_follow_one_another(name):
    """Each block is searched where the blocks before it have moved it to; its levels are fed back; all descend."""
    held, rows = GRIDS[name], weights(4, columns_of(name))
    curved, size = curvature(hessian(columns_of(name))), GRIDS[name].block_size
    moving, packed = rows.copy(), []
    for block in range(rows.shape[1] // size):
        inside = slice(block * size, (block + 1) * size)
        parts = searched(held, np.ascontiguousarray(moving[:, inside]), curved.importance[inside])
        twin.feed_back(moving, curved.lower, held, parts, block)
        packed.append(twin.put_together(held, parts))
    expected = twin.taken_apart(held, np.concatenate(packed, 1))
    slow = twin.Descent(rows, curved.hessian, held, expected)
    for _ in range(SWEEPS):
        slow.sweep()
    assert np.array_equal(round_rows(rows, held, curved), twin.put_together(held, expected))


@each(["Q4_0", "Q4_1", "Q8_0", "IQ4_NL"])
def test_neither_the_number_of_rows_nor_the_chunk_changes_a_row(name, monkeypatch):
    rows, curved = weights(129, 64), curvature(hessian(64))
    whole = round_rows(rows, GRIDS[name], curved)
    for count in (1, 31, 33):
        assert np.array_equal(round_rows(rows[:count], GRIDS[name], curved), whole[:count])
        assert np.array_equal(round_rows(rows[-count:], GRIDS[name], curved), whole[-count:])
    monkeypatch.setattr(gptq, "ROWS_AT_ONCE", 32)
    assert np.array_equal(round_rows(rows, GRIDS[name], curved), whole)


@pytest.mark.slow
@each([name for name in GRIDS if GRIDS[name].block_size == 256])
def test_neither_changes_a_row_of_super_blocks(name, monkeypatch):
    rows, curved = weights(65, 512), curvature(hessian(512))
    whole = round_rows(rows, GRIDS[name], curved)
    assert np.array_equal(round_rows(rows[-33:], GRIDS[name], curved), whole[-33:])
    monkeypatch.setattr(gptq, "ROWS_AT_ONCE", 32)
    assert np.array_equal(round_rows(rows, GRIDS[name], curved), whole)


@each(GRIDS)
def test_hard_rows_give_finite_blocks(name):
    made = weights(1, GRIDS[name].block_size)
    rows = np.concatenate(
        [made * 0, np.sign(made) * F(6e4), np.sign(made) * F(1e-40), made * 0 + F(0.7), made * F(1e-8)]
    )
    curved = curvature(hessian(rows.shape[1]))
    change = change_of(name, rows, round_rows(rows, GRIDS[name], curved))
    assert np.isfinite(change).all()
    assert not change[0].any()
    part = loss(change, curved.hessian)[[1, 3]] / loss(rows, curved.hessian)[[1, 3]]
    assert (part < 1e-2).all()  # which no type finds hard


def test_importance_is_what_is_left_once_later_columns_have_made_up_for_an_error():
    """1 / L[c, c]^2 is the Schur complement of the columns behind c."""
    matrix = hessian(32)
    wide = matrix.astype(np.float64)
    expected = [
        wide[c, c] - wide[c, c + 1 :] @ np.linalg.solve(wide[c + 1 :, c + 1 :], wide[c + 1 :, c]) for c in range(32)
    ]
    assert curvature(matrix).importance == pytest.approx(expected, rel=1e-4)
