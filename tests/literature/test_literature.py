"""The methods of the literature against slow scalar twins, their exact sizes, and the levels of the papers."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from quantize_cli.literature.absmax import absmax
from quantize_cli.literature.dynamic_float import dynamic_levels
from quantize_cli.literature.llm_int8 import THRESHOLD, llm_int8
from quantize_cli.literature.nf4 import BLOCK, GROUP, nf4, nf4_levels
from quantize_cli.literature.table import METHODS

F32 = np.float32

#: QLoRA (arXiv 2305.14314), appendix E.
OF_THE_PAPER = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip


@pytest.fixture(params=[(3, 64), (5, 96), (1, 1), (2, 7), (70, 250)], ids=str)
def weights(request):
    """Heavy tails, a row of zeros, values from the smallest to large."""
    rows, columns = request.param
    made = np.random.default_rng(rows * columns).standard_t(4, (rows, columns)).astype(F32)
    if rows > 2:
        made[1], made[0] = 0, made[0] * F32(1e-40)
    return made


@pytest.fixture
def inputs(weights):
    """The largest activations, some above the threshold and one on it."""
    made = np.random.default_rng(7).uniform(0, 8, weights.shape[1]).astype(F32)
    made[0] = THRESHOLD
    return made


def rounded(value, scale, bits):
    """One weight: by absmax, in steps of float32."""
    largest = F32(2 ** (bits - 1) - 1)
    share = F32(value) / scale if scale > 0 else F32(0)
    return F32(round(float(share * largest))) / largest * scale  # round takes halves to the even number


def magnitude(values):
    return max((abs(F32(value)) for value in values), default=F32(0))


def snapped(levels, value):
    """The level on whose side of the borders the value lies."""
    for lower, upper in pairwise(levels):
        if F32(value) <= (lower + upper) / 2:
            return lower
    return levels[-1]


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("per_row", [True, False])
def test_absmax_equals_its_twin(weights, bits, per_row):
    whole = magnitude(weights.flat)
    twin = []
    for row in weights:
        scale = magnitude(row) if per_row else whole
        twin.append([rounded(value, scale, bits) for value in row])
    found = absmax(weights, bits, per_row=per_row)
    assert found.weights.dtype == F32
    np.testing.assert_array_equal(found.weights, np.array(twin, F32))
    assert found.bits == bits * weights.size + 32 * (len(weights) if per_row else 1)


def test_llm_int8_equals_its_twin(weights, inputs):
    outliers = [largest > 6.0 for largest in inputs]
    twin = []
    for row in weights:
        scale = magnitude(value for value, kept in zip(row, outliers, strict=True) if not kept)
        twin.append(
            [
                F32(np.float16(value)) if kept else rounded(value, scale, 8)
                for value, kept in zip(row, outliers, strict=True)
            ]
        )
    found = llm_int8(weights, inputs)
    np.testing.assert_array_equal(found.weights, np.array(twin, F32))
    rows, columns = weights.shape
    assert found.bits == rows * (16 * sum(outliers) + 8 * (columns - sum(outliers)) + 32) + 32 * sum(outliers)


def test_llm_int8_may_keep_all_columns_or_none():
    weights = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float16).astype(F32)
    np.testing.assert_array_equal(llm_int8(weights, np.full(6, 7, F32)).weights, weights)
    none = llm_int8(weights, np.zeros(6, F32))
    np.testing.assert_array_equal(none.weights, absmax(weights, 8, per_row=True).weights)
    assert none.bits == absmax(weights, 8, per_row=True).bits


def test_nf4_equals_its_twin(weights):
    levels, floats = nf4_levels(), dynamic_levels()
    flat = [*weights.flat]
    blocks = [flat[start : start + BLOCK] for start in range(0, len(flat), BLOCK)]
    scales = [magnitude(block) for block in blocks]
    mean = F32(math.fsum(map(float, scales)) / len(scales))
    twin = []
    for start in range(0, len(blocks), GROUP):
        differences = [scale - mean for scale in scales[start : start + GROUP]]
        largest = magnitude(differences)
        for block, scale, difference in zip(blocks[start:], scales[start:], differences, strict=False):
            share = difference / largest if largest > 0 else F32(0)
            decoded = snapped(floats, share) * largest + mean
            twin += [snapped(levels, value / scale if scale > 0 else F32(0)) * decoded for value in block]
    found = nf4(weights)
    np.testing.assert_array_equal(found.weights, np.array(twin, F32).reshape(weights.shape))
    assert found.bits == 4 * len(flat) + 8 * len(blocks) + 32 * math.ceil(len(blocks) / GROUP) + 32


@pytest.fixture(scope="module")
def bitsandbytes():
    """What the papers' own library makes of a matrix, with that matrix; see golden/PROVENANCE.md."""
    weights = np.random.default_rng(11).standard_t(5, (16, 640)).astype(F32) * F32(0.02)
    with np.load(Path(__file__).parent / "golden" / "bitsandbytes.npz") as held:
        return weights, dict(held)


def test_nf4_decodes_to_what_bitsandbytes_decodes_to(bitsandbytes):
    """Its levels are a few units in the last place away; a scale between two dynamic floats may take the other one."""
    weights, golden = bitsandbytes
    differences = np.abs(nf4(weights).weights - golden["nf4"])
    near = differences <= 1e-6 * np.max(np.abs(weights))
    blocks = near.reshape(-1, BLOCK).all(axis=1)
    assert np.mean(blocks) > 0.98
    assert dynamic_levels() == pytest.approx(golden["dynamic_levels"], abs=1e-7)


def test_absmax_has_the_levels_of_bitsandbytes(bitsandbytes):
    weights, golden = bitsandbytes
    half = weights.astype(np.float16).astype(F32)
    decoded = golden["int8_levels"] * (golden["int8_largest"][:, None] / F32(127))
    np.testing.assert_allclose(absmax(half, 8, per_row=True).weights, decoded, rtol=1e-6)


def test_the_levels_of_nf4_are_those_of_the_paper():
    assert nf4_levels().tolist() == pytest.approx(OF_THE_PAPER, abs=2e-7)
    assert nf4_levels()[[0, 7, 15]].tolist() == [-1, 0, 1]


def test_the_bits_of_nf4_are_those_of_the_paper():
    assert nf4(np.ones((256, 512), F32)).bits_per_weight == pytest.approx(4.127, abs=5e-4)


def test_dynamic_floats_divide_each_decade_evenly():
    levels = dynamic_levels()
    assert len(set(levels.tolist())) == 256
    positive = levels[levels > 0][:-1]
    np.testing.assert_array_equal(-positive[::-1], levels[levels < 0])
    assert [int(np.sum((positive > 10.0 ** (e - 1)) & (positive < 10.0**e))) for e in range(-6, 1)] == [
        1, 2, 4, 8, 16, 32, 64,
    ]  # fmt: skip
    assert levels[-2:].tolist() == pytest.approx([0.1 + 0.9 * 63.5 / 64, 1])
    assert positive[0] == pytest.approx(0.55e-6)


def test_the_table_rounds_with_more_error_at_fewer_bits():
    weights = np.random.default_rng(3).standard_t(5, (64, 512)).astype(F32)
    inputs = np.linspace(0, 6.5, 512, dtype=F32)
    found = {name: method.round_trip(weights, inputs) for name, method in METHODS.items()}
    bits = [held.bits_per_weight for held in found.values()]
    assert bits == sorted(bits, reverse=True)
    errors = {name: float(np.mean((held.weights - weights) ** 2)) for name, held in found.items()}
    assert errors["llm-int8"] < errors["absmax-8-row"] < errors["absmax-8-tensor"] < errors["nf4"]
    assert errors["nf4"] < errors["absmax-4-row"] < errors["absmax-4-tensor"]
