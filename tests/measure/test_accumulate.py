"""Rows are measured as the formulas say, in an order that slabs do not change."""

from __future__ import annotations

import dataclasses
import math

import gguf.quants
import numpy as np
import pytest
from gguf import GGMLQuantizationType
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize_cli.blocks.k.q4_k import Q4_K
from quantize_cli.measure.accumulate import accumulate
from quantize_cli.measure.errors import WeightedError, error_from_sums, weighted_error
from quantize_cli.measure.sums import GROUP, SUM_WD2, SUM_WX2, SUM_X2, SUMS, RunningSums, merge, merge_each
from quantize_cli.measure.sums_of_rows import BLOCK
from quantize_cli.simd.vector import SUMMED


def sums_of(x, y):
    sums = np.full((len(x), SUMS), np.nan)
    accumulate(x, y, None, sums)
    return sums


def error_of(x, y):
    return error_from_sums(sums_of(x, y), x.size)


def pair(rows, columns, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((rows, columns)) * scale).astype(np.float32)
    return x, (x * (1 + rng.normal(0, 0.05, x.shape))).astype(np.float32)


def twin(x, y):
    """The same figures, each by its formula, in NumPy's float64."""
    x, y = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
    d = x - y
    return {
        "rmse": np.sqrt(np.mean(d**2)),
        "relative_rmse": np.sqrt(np.mean(d**2)) / np.sqrt(np.mean(x**2)),
        "sqnr_db": 10 * np.log10(np.sum(x**2) / np.sum(d**2)),
        "max_abs_error": np.max(np.abs(d)),
        "cosine_similarity": np.dot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y)),
    }


def assert_matches(error, expected):
    # Sixteen squares are summed in float32.
    assert dataclasses.asdict(error) == pytest.approx(expected, rel=5e-7)


def in_float32(x, y):
    """Return the four sums of a block whose squares are in float32's range, each lane in a list."""
    zero = np.zeros(SUMMED, np.float32)
    x2, y2, d2, largest = zero, zero, zero, zero
    for a, b in zip(x.reshape(-1, SUMMED), y.reshape(-1, SUMMED), strict=True):
        d = a - b
        x2, y2, d2, largest = x2 + a * a, y2 + b * b, d2 + d * d, np.maximum(largest, np.abs(d))
    return [lanes.astype(np.float64) for lanes in (x2, y2, d2, largest)]


def in_float64(x, y):
    """Return the four sums of any block."""
    a, b = (side.astype(np.float64).reshape(-1, SUMMED) for side in (x, y))
    d = a - b
    return [np.cumsum(part * part, axis=0)[-1] for part in (a, b, d)] + [np.abs(d).max(axis=0)]


def slow(x, y):
    """Sum up rows as sums_of_rows.py tells, in NumPy: the sums without weights."""
    found = []
    for row_x, row_y in zip(x, y, strict=True):
        totals = [np.zeros(SUMMED)] * 4
        for start in range(0, len(row_x), BLOCK):
            block = (side[start : start + BLOCK] for side in (row_x, row_y))
            a, b = (np.pad(side, (0, -len(side) % SUMMED)) for side in block)
            with np.errstate(over="ignore"):
                sums = in_float32(a, b)
            lies_within = sums[0].max() > np.float32(1e-20) and max(map(np.max, sums[:3])) <= np.float32(1e30)
            if not lies_within or not (sums[2].max() > np.float32(1e-25) or sums[3].max() == 0):
                sums = in_float64(a, b)
            totals = [old + new for old, new in zip(totals[:3], sums[:3], strict=True)] + [
                np.maximum(totals[3], sums[3])
            ]
        found.append([*(np.cumsum(lanes)[-1] for lanes in totals[:3]), 0.0, 0.0, totals[3].max()])
    return np.array(found)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 700),
    seed=st.integers(0, 2**32),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e4, 1e30]),
)
def test_equals_the_formulas_in_numpy(rows, columns, seed, scale):
    x, y = pair(rows, columns, seed, scale)
    assert_matches(error_of(x, y), twin(x, y))


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 255, 256, 257, 777, 2048])
@pytest.mark.parametrize("scale", [1e-42, 1e-21, 1e-11, 1e-3, 1.0, 1e14, 1e30])
def test_a_row_is_summed_in_the_documented_order(columns, scale):
    x, y = pair(2, columns, columns, scale)
    assert sums_of(x, y).tobytes() == slow(x, y).tobytes()


@pytest.mark.parametrize("noise", [1e-14, 1e-13, 1e-11])
def test_tiny_differences_beside_large_values_are_not_lost(noise):
    x = np.full((1, 256), 1e-7, np.float32)
    y = x + np.float32(noise)
    assert sums_of(x, y).tobytes() == slow(x, y).tobytes()
    assert_matches(error_of(x, y), twin(x, y))


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 200), slab=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_slabs_do_not_change_a_digit(rows, columns, slab, seed):
    x, y = pair(rows, columns, seed)
    sums = np.empty((rows, SUMS))
    for start in reversed(range(0, rows, slab)):
        accumulate(x[start : start + slab], y[start : start + slab], None, sums[start : start + slab])
    assert sums.tobytes() == sums_of(x, y).tobytes()
    assert error_from_sums(sums, x.size) == error_of(x, y)


def test_compiled_equals_plain_python():
    x, y = pair(3, 300, seed=2)
    sums = np.empty((3, SUMS))
    accumulate.py_func(x, y, None, sums)  # type: ignore[attr-defined]
    assert sums.tobytes() == sums_of(x, y).tobytes()


def importance_of(columns, seed, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(columns) ** 2 * scale).astype(np.float32)


@pytest.mark.parametrize("columns", [1, 31, 32, 103, 600])
@pytest.mark.parametrize("scale", [1e-37, 1e-12, 1.0, 1e12, 1e36])
def test_the_weighted_error_is_its_formula_and_changes_no_other_figure(columns, scale):
    x, y = pair(5, columns, seed=columns)
    w = importance_of(columns, seed=6, scale=scale)
    sums = np.full((5, SUMS), np.nan)
    accumulate(x, y, w, sums)
    found = weighted_error(sums)
    assert found is not None
    weights, source, decoded = w.astype(np.float64), x.astype(np.float64), y.astype(np.float64)
    ratio = np.sum(weights * (source - decoded) ** 2) / np.sum(weights * source**2)
    assert found.relative_rmse == pytest.approx(math.sqrt(ratio), rel=5e-7)
    assert found.sqnr_db == pytest.approx(-10 * math.log10(ratio), rel=5e-7)
    assert error_from_sums(sums, x.size) == error_of(x, y)


def test_the_weighted_error_of_an_exact_tensor_and_of_none():
    x, y = pair(2, 40, seed=7)
    sums = np.empty((2, SUMS))
    accumulate(x, x.copy(), importance_of(40, seed=8), sums)
    assert weighted_error(sums) == WeightedError(0.0, None)
    accumulate(x, y, np.zeros(40, np.float32), sums)
    assert weighted_error(sums) is None
    assert weighted_error(sums_of(x, y)) is None


def test_merged_tensors_are_one_long_tensor():
    tensors = [pair(3, 100, seed=1), pair(1, 700, seed=2, scale=20.0), pair(8, 32, seed=3, scale=1e-3)]
    merged = np.stack([merge(sums_of(x, y)) for x, y in tensors])
    x, y = (np.concatenate([tensor[side].ravel() for tensor in tensors]) for side in (0, 1))
    assert_matches(error_from_sums(merged, x.size), twin(x, y))


def test_error_is_that_of_an_independent_reader_of_the_bytes():
    x = np.random.default_rng(3).standard_t(4, (16, 1024)).astype(np.float32)
    packed = np.empty((16, Q4_K.row_bytes(1024)), np.uint8)
    y = np.empty_like(x)
    Q4_K.quantize(x, packed)
    Q4_K.dequantize(packed, y)
    read = gguf.quants.dequantize(packed, GGMLQuantizationType.Q4_K)
    error = error_of(x, y)
    assert_matches(error, twin(x, read))
    assert 0.03 < error.relative_rmse < 0.12


def test_exact_tensor():
    x, _ = pair(4, 100, seed=4)
    error = error_of(x, x.copy())
    assert (error.rmse, error.relative_rmse, error.sqnr_db, error.max_abs_error) == (0.0, 0.0, None, 0.0)
    assert error.cosine_similarity == 1.0


def test_all_zero_tensor():
    x = np.zeros((2, 64), np.float32)
    error = error_of(x, -x)
    assert (error.rmse, error.relative_rmse, error.sqnr_db, error.cosine_similarity) == (0.0, None, None, None)


def test_everything_rounded_to_zero():
    x, _ = pair(2, 64, seed=5)
    error = error_of(x, np.zeros_like(x))
    assert (error.relative_rmse, error.sqnr_db, error.cosine_similarity) == (1.0, 0.0, None)


@pytest.mark.parametrize("decoded", [np.inf, -np.inf, np.nan])
def test_a_decoded_value_that_is_not_finite_is_an_infinite_error(decoded):
    x = np.full((3, 100), 7e4, np.float32)
    y = x.copy()
    y[0, 3], y[1, 99] = decoded, -decoded
    error = error_of(x, y)
    assert (error.rmse, error.relative_rmse, error.max_abs_error) == (math.inf, math.inf, math.inf)
    assert (error.sqnr_db, error.cosine_similarity) == (-math.inf, None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [0, 99, 100, 205, 299])
def test_the_sum_of_squares_tells_which_rows_are_finite(value, index):
    x = np.zeros((3, 100), np.float32)
    x.reshape(-1)[index] = value
    assert np.isfinite(sums_of(x, np.zeros_like(x))[:, SUM_X2]).tolist() == np.isfinite(x).all(axis=1).tolist()


def test_the_squares_of_the_largest_values_are_finite():
    x = np.full((2, 10_000), np.finfo(np.float32).max)
    assert np.isfinite(sums_of(x, -x)).all()
    assert error_of(x, -x).relative_rmse == pytest.approx(2.0, rel=1e-12)


def test_smallest_subnormals_are_not_lost():
    x = np.full((2, 40), np.float32(1e-45))
    error = error_of(x, np.zeros_like(x))
    assert error.rmse == float(x[0, 0])
    assert error.sqnr_db == 0.0


@pytest.mark.parametrize("rows", [1, 2, 7, 129, 4096])
def test_many_merged_at_a_time_have_the_digits_of_one(rows):
    sums = np.abs(np.random.default_rng(0).normal(size=(3 * rows, SUMS))) ** 9
    expected = np.stack([merge(part) for part in sums.reshape(3, rows, SUMS)])
    assert merge_each(sums, rows).tobytes() == expected.tobytes()


@pytest.mark.parametrize(("signal", "noise"), [(5e-324, 1e300), (1e300, 5e-324), (5e-324, 5e-324)])
def test_weighted_sums_whose_ratio_is_beyond_float64_have_a_ratio_in_decibels(signal, noise):
    sums = np.zeros((1, SUMS))
    sums[0, [SUM_WX2, SUM_WD2]] = signal, noise
    assert weighted_error(sums).sqnr_db == 10 * (math.log10(signal) - math.log10(noise))


@pytest.mark.parametrize(("signal", "noise"), [(-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
def test_negative_sums_do_not_have_a_weighted_error(signal, noise):
    sums = np.zeros((1, SUMS))
    sums[0, [SUM_WX2, SUM_WD2]] = signal, noise
    assert weighted_error(sums) is None


def test_running_sums_do_not_depend_on_how_rows_come():
    sums = np.abs(np.random.default_rng(0).normal(size=(2 * GROUP + 777, SUMS))) ** 9
    groups = [merge(sums[start : start + GROUP]) for start in range(0, len(sums), GROUP)]
    expected = merge(np.stack(groups))
    for step in (1000, GROUP - 1, GROUP, GROUP + 1, len(sums)):
        running = RunningSums()
        for start in range(0, len(sums), step):
            running.add(sums[start : start + step])
        assert running.take().tobytes() == expected.tobytes()
        running.add(sums[:5])
        assert running.take().tobytes() == merge(sums[:5]).tobytes()
