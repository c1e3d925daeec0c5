"""What is measured equals what a slow twin makes of the formulas, for each tensor, type and expert."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import twin
from engine import FAMILIES, Engine, noted_labels, relative, written

from quantize_cli.calibrate.costs import BlockCosts
from quantize_cli.calibrate.products import Watch

TYPES = ("IQ2_XXS", "Q4_K", "Q8_0")
VOCABULARY = ("token_embd.weight", "output.weight")


@pytest.fixture(scope="module", params=FAMILIES)
def engine(request, tmp_path_factory):
    with closing(Engine(*written(request.param, tmp_path_factory.mktemp("model")))) as made:
        yield made


def test_squares_and_counts(engine, tmp_path):
    tokens = engine.tokens(2, 7)
    found, _ = engine.measured(tokens, tmp_path / "work", TYPES)
    matrices = twin.run(engine.whole, tokens)
    assert {name for name, tensor in found.items() if tensor.counts.size} == {matrix.tensor for matrix in matrices}
    for matrix in matrices:
        sums, count = matrix.squares
        tensor = found[matrix.tensor]
        assert tensor.counts[matrix.expert] == count, matrix.tensor
        assert relative(tensor.squares[matrix.expert], sums) < 1e-5, matrix.tensor
        assert (len(tensor.counts) > 1) == matrix.tensor.endswith("_exps.weight")


def importance(tensor):
    """Return the mean squares of each expert's inputs; ones where there were none.

    They are those that were measured: other last bits would move single weights to other levels.
    """
    counts = tensor.counts[:, None]
    return np.where(counts > 0, tensor.squares / np.maximum(counts, 1), 1).astype(np.float32)


@pytest.mark.parametrize("shape", [(3, 10), (1, 4)])
def test_costs_of_blocks(engine, shape, tmp_path, monkeypatch):
    tokens, labels = engine.tokens(*shape), noted_labels(monkeypatch)
    found, _ = engine.measured(tokens, tmp_path / "work", TYPES)
    changes = [
        (matrix, name, twin.changed(matrix.weights, name, importance(found[matrix.tensor])[matrix.expert]))
        for matrix in twin.run(engine.whole, tokens)
        for name in TYPES
    ]
    expected = twin.costs(engine.whole, tokens, labels, changes)
    assert set(expected) == set(found) - set(VOCABULARY)
    for tensor, costs in expected.items():
        assert list(found[tensor].costs) == list(TYPES)
        for name, cost in costs.items():
            # What a type changes is kept in 8 bits.
            assert found[tensor].costs[name] == pytest.approx(cost, rel=3e-2), (tensor, name)
    if shape == (1, 4) and "gate_exps" in str(list(found)):  # experts that are never hit
        experts = [tensor for tensor in found.values() if tensor.name.endswith("_exps.weight")]
        assert any((tensor.counts == 0).any() for tensor in experts)


def test_costs_of_the_embedding_and_the_output_matrix(engine, tmp_path, monkeypatch):
    tokens, labels = engine.tokens(3, 10), noted_labels(monkeypatch)
    found, _ = engine.measured(tokens, tmp_path / "work", TYPES)
    for name in ("Q4_K", "Q8_0"):
        costs = twin.vocabulary_costs(engine.whole, tokens, labels, name)
        expected = dict(zip(VOCABULARY, costs, strict=True)) if VOCABULARY[1] in found else {VOCABULARY[0]: sum(costs)}
        for tensor, cost in expected.items():
            assert found[tensor].costs[name] == pytest.approx(cost, rel=1e-3), tensor
            assert not found[tensor].counts.size
    assert "IQ2_XXS" not in found[VOCABULARY[0]].costs  # it needs an importance, which nothing has measured


def test_the_seed_draws_the_labels(engine, tmp_path):
    tokens = engine.tokens(2, 6)
    first, again, other = (
        engine.measured(tokens, tmp_path / str(number), ("Q4_0",), seed)[0]["blk.0.attn_q.weight"]
        for number, seed in enumerate((1, 1, 2))
    )
    assert first.costs == again.costs != other.costs
    assert np.array_equal(first.squares, other.squares)


def test_a_tensor_has_only_costs_of_the_types_that_it_is_measured_in():
    """Two tensors in one parameter, as DeepSeek's attn_k_b and attn_v_b, whose rows differ in length."""
    tensors = [SimpleNamespace(name=name, rows=1, columns=2) for name in ("k", "v")]
    joined = SimpleNamespace(
        tensors=tensors,
        parameters=["kv"],
        groups=[(["kv"], tensors)],
        has=lambda *_names: True,
        numbers=lambda _parameter: np.arange(2),
        rows=lambda _parameter, values: values,
        values=lambda change, _meaning, of: {"kv": torch.from_numpy(np.concatenate([change(tensor) for tensor in of]))},
    )
    types = {"k": ("Q8_0",), "v": ("Q8_0", "Q4_K")}
    costs = BlockCosts(joined, types, lambda _tensor: lambda _name: np.ones((1, 2), np.float32), torch.device("cpu"))
    costs.add("kv", torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert costs.of(1) == {
        "k": {"Q8_0": pytest.approx(9 / 2)},
        "v": {"Q8_0": pytest.approx(49 / 2), "Q4_K": pytest.approx(49 / 2)},
    }


@pytest.mark.parametrize("named", [False, True])
def test_a_product_is_seen_however_its_weight_is_given(named):
    weight, inputs, seen = torch.ones(3, 2), torch.ones(4, 2), []
    with Watch({"w": weight}, seen.append):
        if named:
            torch.nn.functional.linear(inputs, weight=weight)
        else:
            torch.matmul(inputs, weight.T)
    assert [(product.parameter, product.matrix, tuple(product.inputs.shape)) for product in seen] == [("w", 0, (4, 2))]
