"""Runs with an importance matrix: whose importance counts where, and what the weighted error says."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from gguf import GGUFReader
from gguf.quants import dequantize
from gguf_factory import hyperparameters, write_gguf
from imatrix_factory import squares
from safetensors.numpy import load_file

from quantize_cli import open_checkpoint, quantize
from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.mixes.find import find_format
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.planner import make_plan, make_plans
from quantize_cli.run.executor import run

EXPERTS = "blk.0.ffn_up_exps.weight"
ROWS = 24


def matrix_of(**entries: np.ndarray) -> ImportanceMatrix:
    return ImportanceMatrix({n: np.atleast_2d(e) for n, e in entries.items()}, "imatrix.gguf", ("wiki.txt",), 7)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A GGUF model with one stack of three experts, and its weights."""
    path = tmp_path_factory.mktemp("experts") / "experts-F32.gguf"
    weights = np.random.default_rng(0).normal(0, 0.02, (3, ROWS, 256)).astype(np.float32)
    fields = hyperparameters(expert_count=3, expert_used_count=2)
    write_gguf(path, {EXPERTS: weights, "output_norm.weight": np.ones(256, np.float32)}, fields)
    return path, weights


def packed(path, matrix, **options):
    """The bytes of the experts' tensor in Q4_K_S."""
    checkpoint = open_checkpoint(path)
    plan = make_plan(checkpoint, find_format("q4_k_s"), options=PlanOptions(importance=matrix))
    buffer = BytesIO()
    run([plan], checkpoint, [[buffer]], importance=matrix, **options)
    tensor = next(tensor for tensor in plan.tensors if tensor.name == EXPERTS)
    start = len(plan.files[0].header) + tensor.offset
    return buffer.getvalue()[start : start + tensor.nbytes]


def alone(rows, importance):
    """The same rows by the block type itself."""
    out = np.empty((len(rows), BLOCK_TYPES["Q4_K"].row_bytes(rows.shape[1])), np.uint8)
    BLOCK_TYPES["Q4_K"].quantize(rows, out, importance)
    return out.tobytes()


@pytest.mark.parametrize("slab_weights", [1, 5 * 256, ROWS * 256 + 1, 1 << 30])
def test_each_expert_is_quantized_by_its_own_importance(slab_weights, stack):
    path, weights = stack
    each = np.stack([squares(256, seed) for seed in range(3)])
    expected = [alone(rows, importance) for rows, importance in zip(weights, each, strict=True)]
    assert packed(path, matrix_of(**{EXPERTS: each}), slab_weights=slab_weights, threads=2) == b"".join(expected)
    assert len({*expected, *(alone(rows, each[0]) for rows in weights[1:])}) == 5, "the importances do not matter"


def test_an_entry_that_does_not_tell_experts_apart_has_their_values_in_a_row(stack):
    """As the older file format has them."""
    path, _ = stack
    each = np.stack([squares(256, seed) for seed in range(3)])
    assert packed(path, matrix_of(**{EXPERTS: each})) == packed(path, matrix_of(**{EXPERTS: each.reshape(1, -1)}))


def test_in_four_dimensions_the_third_is_that_of_the_experts(tmp_path):
    weights = np.random.default_rng(0).normal(0, 0.02, (2, 3, 4, 256)).astype(np.float32)
    fields = hyperparameters()
    write_gguf(tmp_path / "four-F32.gguf", {EXPERTS: weights}, fields)
    each = np.stack([squares(256, seed) for seed in range(3)])
    expected = [alone(weights[i, j], each[j]) for i in range(2) for j in range(3)]
    assert packed(tmp_path / "four-F32.gguf", matrix_of(**{EXPERTS: each})) == b"".join(expected)


@pytest.mark.parametrize("slab_weights", [256, 5 * 256, ROWS * 256, ROWS * 256 + 1, 1 << 30])
def test_no_slab_has_rows_of_two_experts_with_importances(slab_weights, stack, monkeypatch):
    path, weights = stack
    slabs = []
    quantize = BlockType.quantize

    def spy(self, rows, out, importance=None):
        if self.name == "Q4_K":
            slabs.append(rows.copy())
        quantize(self, rows, out, importance)

    monkeypatch.setattr(BlockType, "quantize", spy)
    packed(path, matrix_of(**{EXPERTS: np.ones((3, 256), np.float32)}), slab_weights=slab_weights, threads=1)
    assert np.concatenate(slabs).tobytes() == weights.tobytes()
    ends = {int(end) for end in np.cumsum([len(slab) for slab in slabs])}
    assert ends >= {ROWS, 2 * ROWS, 3 * ROWS}


# Several plans.


def test_what_several_formats_have_alike_is_made_once(stack, monkeypatch):
    path, weights = stack
    checkpoint = open_checkpoint(path)
    plans = make_plans(checkpoint, [find_format(name) for name in ("q4_k_s", "q4_k_m", "q5_k_s", "q8_0")])
    made = []
    usual = BlockType.quantize

    def spy(self, rows, out, importance=None):
        made.append((self.name, rows.size))
        usual(self, rows, out, importance)

    monkeypatch.setattr(BlockType, "quantize", spy)
    buffers = [BytesIO() for _ in plans]
    run(plans, checkpoint, [[buffer] for buffer in buffers], threads=1, slab_weights=1 << 30)
    kinds = {tensor.type for plan in plans for tensor in plan.tensors if tensor.name == EXPERTS}
    assert len(kinds) == 3
    expected = [("F32", 256), *((kind, weights.size) for kind in kinds)]
    assert sorted(made) == sorted(expected)
    for plan, buffer in zip(plans, buffers, strict=True):
        single = BytesIO()
        run([plan], checkpoint, [[single]], threads=1)
        assert buffer.getvalue() == single.getvalue()


# The weighted error.


@pytest.fixture(scope="module")
def weighted_run(tmp_path_factory):
    """The report of a run with an importance matrix for some tensors, that file, its sources, and the matrix."""
    folder = make_checkpoint(tmp_path_factory.mktemp("weighted") / "tiny", num_hidden_layers=1)
    matrix = matrix_of(**{"blk.0.ffn_down.weight": squares(512), "blk.0.ffn_up.weight": squares(256, 1)})
    output = folder.parent / "tiny.gguf"
    report = quantize(folder, "q4_k_m", output, pre_tokenizer=PRE_TOKENIZER, threads=2, imatrix=matrix)
    return report, output, load_file(folder / "model.safetensors"), matrix


def test_the_weighted_error_is_that_of_the_files_bytes(weighted_run):
    report, output, sources, matrix = weighted_run
    written = {tensor.name: tensor for tensor in GGUFReader(output).tensors}
    wx2 = wd2 = 0.0
    for tensor in report.tensors:
        if tensor.name not in matrix.entries:
            assert tensor.weighted_error is None
            continue
        read = written[tensor.name]
        w = matrix.entries[tensor.name].astype(np.float64)
        x = sources[tensor.sources[0]].astype(np.float64)
        y = dequantize(read.data, read.tensor_type).astype(np.float64)
        weighted_x, weighted_d = np.sum(w * x**2), np.sum(w * (x - y) ** 2)
        told = tensor.weighted_error
        assert told.relative_rmse == pytest.approx(np.sqrt(weighted_d / weighted_x), rel=1e-7)
        assert told.sqnr_db == pytest.approx(10 * np.log10(weighted_x / weighted_d), rel=1e-7)
        assert told.relative_rmse < tensor.error.relative_rmse, "what counts most is rounded least"
        wx2, wd2 = wx2 + weighted_x, wd2 + weighted_d
    assert report.totals.weighted_error.relative_rmse == pytest.approx(np.sqrt(wd2 / wx2), rel=1e-7)


def test_the_weighted_error_of_a_type_is_that_of_its_tensors(weighted_run):
    report, _, _, matrix = weighted_run
    with_importance = {tensor.type for tensor in report.tensors if tensor.name in matrix.entries}
    assert {row.type for row in report.types if row.weighted_error} == with_importance


def test_without_a_matrix_nothing_is_weighted(llama, tmp_path):
    report = quantize(llama, "q8_0", tmp_path / "x.gguf", pre_tokenizer=PRE_TOKENIZER, threads=1)
    parts: list[Any] = [report.totals, *report.types, *report.tensors]
    assert {part.weighted_error for part in parts} == {None}
