"""The factors that are chosen are the best of those that are tried, by the definition of the error."""

from __future__ import annotations

import numpy as np
import pytest

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.methods.awq import STEPS, choose, factors_of, shared

COLUMNS = 64


@pytest.fixture
def inputs():
    """Inputs of channels of very different sizes, and two matrices that read them."""
    random = np.random.default_rng(5)
    inputs = random.normal(0, 1, (200, COLUMNS)) * np.exp(random.normal(0, 1.5, COLUMNS))
    matrices = [random.normal(0, 1, (rows, COLUMNS)).astype(np.float32) for rows in (6, 3)]
    return inputs.astype(np.float32), matrices


def statistics(inputs):
    return np.square(inputs).mean(0), inputs.T @ inputs / len(inputs)


def mean_square_of_outputs(inputs, matrices, factors, types):
    """What the definition says: the outputs of folded and rounded matrices, of inputs that were divided."""
    squares = np.square(inputs).mean(0) / factors**2
    total = 0.0
    for rows, name in zip(matrices, types, strict=True):
        held = BLOCK_TYPES[name]
        packed = np.empty((len(rows), held.row_bytes(COLUMNS)), np.uint8)
        made = np.empty_like(rows)
        held.quantize(rows * factors, packed, squares.astype(np.float32))
        held.dequantize(packed, made)
        outputs = inputs.astype(np.float64) / factors @ made.T.astype(np.float64)
        total += float(np.square(outputs - inputs.astype(np.float64) @ rows.T).mean(0).sum())
    return total


def test_the_best_of_all_exponents_is_chosen(inputs):
    inputs, matrices = inputs
    types = ("Q4_0", "Q5_0")
    squares, hessian = statistics(inputs)
    magnitudes = np.sqrt(squares.astype(np.float64))
    errors = []
    for step in range(STEPS + 1):
        power = magnitudes ** (step / STEPS)
        errors.append(
            mean_square_of_outputs(
                inputs, matrices, (power / np.sqrt(power.max() * power.min())).astype(np.float32), types
            )
        )
    best = int(np.argmin(errors))
    assert 0 < best < STEPS  # neither end, so that the test can tell
    assert errors[best] < 0.9 * errors[0]
    power = magnitudes ** (best / STEPS)
    found = choose(matrices, types, squares, hessian)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, power / np.sqrt(power.max() * power.min()), rtol=1e-5)


def test_matrices_that_are_not_rounded_do_not_decide(inputs):
    inputs, matrices = inputs
    squares, hessian = statistics(inputs)
    assert np.array_equal(choose(matrices, ("F32", "BF16"), squares, hessian), np.ones(COLUMNS))
    one = choose(matrices[:1], ("Q4_0",), squares, hessian)
    assert np.array_equal(choose(matrices, ("Q4_0", "F16"), squares, hessian), one)


def test_columns_that_share_a_factor_get_the_same(inputs):
    inputs, matrices = inputs
    squares, hessian = statistics(inputs)
    numbers = np.arange(COLUMNS).reshape(2, 1, -1).repeat(1, axis=1).reshape(-1) // 2
    found = choose(matrices, ("Q4_0", "Q4_0"), squares, hessian, numbers)
    assert found.shape == (COLUMNS // 2,)
    assert np.array_equal(shared(squares, numbers), squares.reshape(-1, 2).mean(1).astype(np.float32))


def test_factors_stay_within_bounds():
    squares = np.array([0, 1e-30, 1e-4, 1, 1e20], np.float32)
    for factors in factors_of(squares):
        assert np.isfinite(factors).all()
        assert factors.max() <= 101
        assert factors.min() >= 1 / 101
        assert np.isclose(factors.max() * factors.min(), 1, rtol=1e-4)
    assert [held.tolist() for held in factors_of(np.zeros(3, np.float32))] == [[1, 1, 1]]
