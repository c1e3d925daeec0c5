"""What is computed one block at a time equals what transformers computes with the whole model."""

from __future__ import annotations

import logging
from collections import defaultdict
from contextlib import ExitStack, closing

import numpy as np
import pytest
import torch
import transformers
from engine import FAMILIES, Engine, logits_of, lost, noted_labels, relative, written

from quantize_cli.calibrate.costs import BlockCosts
from quantize_cli.calibrate.sampling import sampled
from quantize_cli.calibrate.vocabulary_costs import EmbeddingCosts, OutputCosts
from quantize_cli.calibrate.weights import Original

#: Sequences and tokens of each; the engine takes as many sequences at once as fit, here all.
SHAPE = 3, 12


@pytest.fixture(scope="module", params=FAMILIES)
def engine(request, tmp_path_factory):
    with closing(Engine(*written(request.param, tmp_path_factory.mktemp("model")))) as made:
        yield made


def test_logits(engine):
    tokens = engine.tokens(*SHAPE)
    assert relative(engine.streamed(tokens), logits_of(engine.whole, tokens)) < 1e-6


@pytest.mark.parametrize("shape", [(1, 4), (5, 5)])
def test_few_tokens_and_odd_numbers(engine, shape):
    tokens = engine.tokens(*shape)
    assert relative(engine.streamed(tokens), logits_of(engine.whole, tokens)) < 1e-6


def test_batches_do_not_change_logits(engine, monkeypatch):
    tokens = engine.tokens(*SHAPE)
    together = engine.streamed(tokens)
    monkeypatch.setattr("quantize_cli.calibrate.forward.BATCH_TOKENS", 2 * SHAPE[1])
    assert relative(engine.streamed(tokens), together) < 1e-6


def test_gradients(engine, monkeypatch, tmp_path):
    """Those of each weight and each sequence, given the labels that were drawn."""
    labels, gradients, output, embedding = noted_labels(monkeypatch), defaultdict(list), [], []

    def noted(_self, name, gradient):
        gradients[name].append(gradient.clone())

    monkeypatch.setattr(BlockCosts, "add", noted)
    monkeypatch.setattr(OutputCosts, "add", lambda _self, inputs, found: output.append(found.T @ inputs))
    monkeypatch.setattr(EmbeddingCosts, "add", lambda _self, ids, found: embedding.append((ids, found)))
    tokens = engine.tokens(*SHAPE)
    engine.measured(tokens, tmp_path / "work", ("Q8_0",))
    model = engine.whole
    head, first = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    assert len(labels) == len(output) == len(embedding) == len(tokens)
    blocks = {name: held for name, held in model.named_parameters() if ".layers." in name}
    assert set(gradients) == set(blocks)
    for number, sequence in enumerate(tokens):
        lost(model, sequence, labels[number]).backward()
        for name, parameter in blocks.items():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert relative(gradients[name][number], expected) < 1e-4, name
        ids, found = embedding[number]
        scattered = torch.zeros_like(first).index_add_(0, ids, found)
        if head is first:  # both roles of a tied matrix
            scattered += output[number]
        else:
            assert relative(output[number], head.grad) < 1e-4
        assert relative(scattered, first.grad) < 1e-4


def test_labels_are_drawn_from_what_the_model_predicts(engine, monkeypatch, tmp_path):
    chances = []
    draw = torch.multinomial

    def drawn(held, *args, **options):
        chances.append(held)
        return draw(held, *args, **options)

    monkeypatch.setattr(torch, "multinomial", drawn)
    tokens = engine.tokens(*SHAPE)
    engine.measured(tokens, tmp_path / "work", ("Q8_0",))
    expected = logits_of(engine.whole, tokens).softmax(-1)
    assert relative(torch.stack(chances), expected) < 1e-5


def test_hidden_states(engine, tmp_path):
    """The largest magnitude and the mean square of what each block hands on."""
    tokens = engine.tokens(*SHAPE)
    _, blocks = engine.measured(tokens, tmp_path / "work", ("Q8_0",))
    model, behind = engine.whole, []
    with ExitStack() as hooks:
        for layer in model.get_decoder().layers:
            hooks.callback(layer.register_forward_hook(lambda _module, _inputs, made: behind.append(made)).remove)
        logits_of(model, tokens)
    assert len(blocks) == len(behind) == 2
    for block, made in zip(blocks, behind, strict=True):
        flat = (made[0] if isinstance(made, tuple) else made).reshape(-1, block.largest.size)
        assert relative(block.largest, flat.abs().amax(0)) < 1e-5
        assert relative(block.mean_square, flat.double().square().mean(0)) < 1e-5


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_bf16(family, tmp_path):
    folder, pre_tokenizer = written(family, tmp_path)
    exact, rounded = Engine(folder, pre_tokenizer), Engine(folder, pre_tokenizer, "bf16")
    tokens = exact.tokens(*SHAPE)
    found = rounded.streamed(tokens)
    assert found.dtype == torch.float32
    assert 0 < relative(found, exact.streamed(tokens)) < 0.1
    tensors, blocks = rounded.measured(tokens, tmp_path / "work", ("Q8_0", "Q4_0"))
    assert all(np.isfinite(block.mean_square).all() for block in blocks)
    assert all(cost > 0 for tensor in tensors.values() for cost in tensor.costs.values() if tensor.counts.all())


@pytest.mark.parametrize("bos", [0, 1, None])
def test_a_model_writes_texts_and_its_library_is_silent(bos, tmp_path, caplog):
    logger = logging.getLogger("transformers")
    with closing(Engine(*written("llama", tmp_path))) as engine:

        def write(seed):
            return sampled(engine.skeleton, Original(engine.checkpoint), 3, 8, bos, seed)

        logger.addHandler(caplog.handler)
        transformers.logging.set_verbosity_warning()
        try:
            one, same, other = (write(seed) for seed in (1, 1, 2))
        finally:
            transformers.logging.set_verbosity_error()
            logger.removeHandler(caplog.handler)
    assert one.tokens.shape == (3, 8)
    assert one.tokens.dtype == np.int32
    assert (one.tokens == same.tokens).all()
    assert (one.tokens != other.tokens).any()
    assert bos is None or (one.tokens[:, 0] == bos).all()
    assert one.records[0].tokens == 24
    assert caplog.records == []
