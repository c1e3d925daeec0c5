"""The gradients at the matrices' outputs equal autograd's, and nothing but token weights is of held-out sequences."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack, closing

import numpy as np
import pytest
import torch
from engine import lost, noted_labels, relative
from small import FAMILIES, HELD_OUT, SEQUENCES, small

from quantize_cli.calibrate.output_gradients import RANK, factors

NAMES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
DENSE = {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    made = small(request.param, tmp_path_factory.mktemp("model"))
    with closing(made.engine):
        yield made


def gradients_of(model, tokens, labels):
    """GGUF name -> inputs and gradients at the outputs of each sequence, float64[context, ...], by hooks."""
    found = defaultdict(list)
    names = {**NAMES, **DENSE}
    with ExitStack() as hooks:
        for number, layer in enumerate(model.get_decoder().layers):
            for name, module in layer.named_modules():
                if (gguf := names.get(name.rpartition(".")[2])) and isinstance(module, torch.nn.Linear):

                    def hook(_module, given, made, tensor=f"blk.{number}.{gguf}.weight"):
                        inputs = given[0].detach()[0].double()
                        made.register_hook(lambda held: found[tensor].append((inputs, held[0].double())))

                    hooks.callback(module.register_forward_hook(hook).remove)
        for sequence, drawn in zip(tokens, labels, strict=True):
            lost(model, sequence, drawn).backward()
    return found


def test_token_weights_and_factors_are_autograds(model, tmp_path, monkeypatch):
    labels = noted_labels(monkeypatch)
    found, _ = model.engine.measured(model.tokens, tmp_path / "work", ("Q8_0",), held_out=HELD_OUT)
    expected = gradients_of(model.engine.whole, model.tokens, labels)
    assert {name for name, tensor in found.items() if tensor.token_weights.size} - set(expected) <= {
        f"blk.{number}.ffn_gate_inp.weight" for number in range(2)
    }
    assert len(expected) == 2 * (7 if "blk.0.ffn_up.weight" in found else 4)
    measured = SEQUENCES - HELD_OUT
    for name, of_sequences in expected.items():
        squares = np.stack([gradient.square().sum(1) for _, gradient in of_sequences])
        assert len(squares) == SEQUENCES
        assert relative(found[name].token_weights, squares / squares[:measured].mean()) < 1e-3, name
        if not name.endswith(("attn_q.weight", "attn_k.weight", "attn_output.weight")):
            assert not found[name].output_factors.size, name
    for number in range(2):  # of the others, the file has the rows in another order
        name, hessian = f"blk.{number}.attn_output.weight", torch.zeros(64, 64, dtype=torch.float64)
        for inputs, gradient in expected[name][:measured]:
            sizes = inputs.square().sum(1)
            hessian += (gradient * sizes.clamp_max(20 * sizes.median())[:, None]).T @ gradient
        hessian /= hessian.diagonal().mean()
        kept = found[name].output_factors
        assert kept.shape == (1 + 64, 64)  # as many directions as there are rows
        assert relative(kept[1:].T @ kept[1:] + np.diag(kept[0]), hessian) < 1e-3


def test_nothing_else_is_of_held_out_sequences(model, tmp_path):
    measured = SEQUENCES - HELD_OUT
    alone, blocks = model.engine.measured(model.tokens[:measured], tmp_path / "alone", ("Q4_0", "Q8_0"))
    found, others = model.engine.measured(model.tokens, tmp_path / "both", ("Q4_0", "Q8_0"), held_out=HELD_OUT)
    assert list(found) == list(alone)
    assert any(tensor.costs for tensor in alone.values())
    for name, tensor in found.items():
        assert tensor.costs == alone[name].costs, name
        for what in ("squares", "counts", "hessian", "output_factors"):
            assert np.array_equal(getattr(tensor, what), getattr(alone[name], what)), (name, what)
        if tensor.token_weights.size:
            assert tensor.token_weights.shape[0] == SEQUENCES
            assert np.array_equal(tensor.token_weights[:measured], alone[name].token_weights)
            assert tensor.token_weights[measured:].any()
    for block, other in zip(blocks, others, strict=True):
        assert np.array_equal(block.largest, other.largest)
        assert np.array_equal(block.mean_square, other.mean_square)


def positive(size, rank):
    held = torch.randn(rank, size, generator=torch.Generator().manual_seed(size))
    return held.T @ held


@pytest.mark.parametrize(("size", "rank"), [(5, 5), (10, 3), (RANK, RANK), (150, 20)])
def test_factors_are_exact_where_there_are_enough(size, rank):
    hessian = positive(size, rank)
    kept = factors(hessian)
    assert kept.shape == (1 + min(size, RANK), size)
    assert relative(kept[1:].T @ kept[1:] + torch.diag(kept[0]), hessian) < 1e-4


def test_factors_keep_the_largest_directions_and_the_whole_diagonal():
    scales = torch.linspace(10, 0.1, 100).square()
    vectors = torch.linalg.qr(torch.randn(100, 100, generator=torch.Generator().manual_seed(1))).Q
    hessian = (vectors * scales) @ vectors.T
    kept = factors(hessian)
    made = kept[1:].T @ kept[1:] + torch.diag(kept[0])
    assert relative(made.diagonal(), hessian.diagonal()) < 1e-4
    left = float(torch.linalg.matrix_norm(hessian - made) / torch.linalg.matrix_norm(hessian))
    least = float(scales[RANK:].square().sum().sqrt() / scales.square().sum().sqrt())
    assert left < 1.2 * least
    assert torch.equal(kept, factors(hessian))
