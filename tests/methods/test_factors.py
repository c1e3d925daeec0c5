"""Factors change rows as a product of matrices would, whatever the slab; powers of two do not change a mantissa."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from quantize_cli.architectures.folds import Fold, folds_of
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.methods.chosen import Chosen
from quantize_cli.methods.factors import Factors
from quantize_cli.methods.rounded import Rounded
from quantize_cli.mixes.find import find_format
from quantize_cli.planning.planner import make_plan
from quantize_cli.run.derive import Derive
from quantize_cli.run.rows import SourceRows
from quantize_cli.run.slabs import slabs_of


@pytest.fixture(scope="module")
def opened(llama):
    """A checkpoint, its plan in Q8_0, and its foldings."""
    with closing(open_checkpoint(llama)) as checkpoint:
        plan = make_plan(checkpoint, find_format("Q8_0"), "gpt-2")
        shapes = {tensor.name: tensor.shape for tensor in plan.tensors}
        yield checkpoint, plan, folds_of(plan.files[0].metadata, shapes)


def drawn(folds, seed=0, powers=False):
    random = np.random.default_rng(seed)
    exponents = [random.normal(0, 0.7, fold.size) for fold in folds]
    return [
        (fold, np.exp2(np.rint(held) if powers else held).astype(np.float32))
        for fold, held in zip(folds, exponents, strict=True)
    ]


def whole(checkpoint, tensor, factors=None):
    return SourceRows(checkpoint, factors).rows(tensor, 0, tensor.rows).rows


def test_the_product_of_two_halves_stays(opened):
    """What makes a channel and what reads it: values and output, of all query heads of a group."""
    checkpoint, plan, folds = opened
    tensors = {tensor.name: tensor for tensor in plan.tensors}
    fold = next(fold for fold in folds if fold.maker == "attn_v")
    factors = Factors.of(drawn([fold]))
    maker, reader = (tensors[name] for name in (fold.divided[0], fold.multiplied[0]))
    channels = fold.numbers[0]
    before = whole(checkpoint, reader) @ whole(checkpoint, maker)[channels]
    after = whole(checkpoint, reader, factors) @ whole(checkpoint, maker, factors)[channels]
    assert not np.array_equal(whole(checkpoint, reader), whole(checkpoint, reader, factors))
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())


def test_powers_of_two_come_back_bit_by_bit(opened):
    checkpoint, plan, folds = opened
    chosen = drawn(folds, powers=True)
    there, back = Factors.of(chosen), Factors.of([(fold, 1 / factors) for fold, factors in chosen])
    assert len(folds) == 8
    for tensor in plan.tensors:
        rows = whole(checkpoint, tensor)
        changed = there.apply(tensor, rows, 0)
        assert np.array_equal(changed, rows) == (tensor.name not in there)
        assert np.array_equal(back.apply(tensor, changed, 0), rows)


def test_slabs_are_parts_of_the_whole(opened):
    checkpoint, plan, folds = opened
    factors = Factors.of(drawn(folds))
    sources = SourceRows(checkpoint, factors)
    for tensor in plan.tensors:
        if tensor.name in factors:
            steps = range(0, tensor.rows, 100)
            parts = [sources.rows(tensor, at, min(at + 100, tensor.rows)).rows for at in steps]
            assert np.array_equal(np.concatenate(parts), whole(checkpoint, tensor, factors))


def test_what_is_quantized_is_folded(opened, tmp_path):
    checkpoint, plan, folds = opened
    factors = Factors.of(drawn(folds))
    derive = Derive(checkpoint, None, [Chosen(Rounded(tmp_path), factors)])
    tensors = []
    for slab in slabs_of([plan], 1 << 18):
        if slab.tensor.name in factors and slab.first and slab.last:
            rows = whole(checkpoint, slab.tensor, factors)
            packed = np.empty((len(rows), BLOCK_TYPES[slab.tensor.type].row_bytes(rows.shape[1])), np.uint8)
            BLOCK_TYPES[slab.tensor.type].quantize(rows, packed)
            assert np.array_equal(derive(slab)[0].packed, packed)
            tensors.append(slab.tensor)
    assert {len(tensor.shape) for tensor in tensors} == {1, 2}


def test_experts_have_columns_of_their_own(opened):
    tensor = replace(opened[1].tensors[0], name="blk.0.ffn_down_exps.weight", shape=(3, 2, 4))
    fold = Fold(0, "ffn_up_exps", ("blk.0.ffn_up_exps.weight",), (tensor.name,), 12, 0, 3, 4, 1)
    factors = Factors.of([(fold, np.arange(1, 13, dtype=np.float32))])
    rows = np.ones((6, 4), np.float32)
    expected = np.repeat(np.arange(1, 13, dtype=np.float32).reshape(3, 4), 2, axis=0)
    assert np.array_equal(factors.apply(tensor, rows, 0), expected)
    assert np.array_equal(factors.apply(tensor, rows[1:4], 1), expected[1:4])
    assert np.array_equal(factors.importance(tensor, rows[0], 3), 1 / expected[3] ** 2)
    assert np.array_equal(rows, np.ones((6, 4)))


def test_foldings_of_one_tensor_are_joined():
    norm = Fold(0, "attn_norm", ("n",), ("v",), 4, 0, 1, 4, 1)
    values = Fold(0, "attn_v", ("v",), ("o",), 2, 0, 1, 4, 2)
    again = Factors.of([(norm, np.full(4, 2, np.float32)), (values, np.full(2, 3, np.float32))])
    assert "v" in again.rows
    assert "v" in again.columns
    twice = Factors.of([(norm, np.full(4, 2, np.float32))] * 2)
    assert twice.rows["n"].tolist() == [4] * 4
    assert twice.columns["v"].tolist() == [[4] * 4]
