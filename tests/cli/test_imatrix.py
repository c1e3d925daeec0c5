"""Importance matrices on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER
from command_line import sentence
from gguf_factory import read_header
from imatrix_factory import CHUNKS, DATASET, squares, write_imatrix

Q4 = ("--format", "q4_k_s", "--pre-tokenizer", PRE_TOKENIZER, "--threads", "1")
#: GGUF name -> columns, of every matrix of the model but the vocabulary's.
MATRICES = {
    f"blk.{layer}.{name}.weight": 512 if name == "ffn_down" else 256
    for layer in range(2)
    for name in ("attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up")
}

#: What llama-quantize tells of an importance matrix.
IMATRIX_KEYS = [f"quantize.imatrix.{name}" for name in ("file", "dataset", "entries_count", "chunks_count")]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def entries(*, without=()):
    return {name: squares(columns, i) for i, (name, columns) in enumerate(MATRICES.items()) if name not in without}


@pytest.fixture
def imatrix(work):
    return write_imatrix(work / "imatrix.gguf", entries())


def report_of(work, name="report.json"):
    (report,) = json.loads((work / name).read_text())["reports"]
    return report


def test_it_changes_the_file_and_stands_in_its_metadata(quantize, llama, imatrix, work):
    for name, options in {"with.gguf": ("--imatrix", "./imatrix.gguf"), "without.gguf": ()}.items():
        assert quantize(llama, *Q4, *options, "-o", name, "--report", f"{name}.json").exit_code == 0
    fields = [(held.key, held.value) for held in read_header(work / "with.gguf").fields]
    assert [field for field in fields if field[0] in IMATRIX_KEYS] == [
        ("quantize.imatrix.file", "./imatrix.gguf"),
        ("quantize.imatrix.dataset", DATASET),
        ("quantize.imatrix.entries_count", len(MATRICES)),
        ("quantize.imatrix.chunks_count", CHUNKS),
    ]
    assert "quantize.imatrix.file" not in {held.key: held.value for held in read_header(work / "without.gguf").fields}
    weighed, plain = (
        {t["name"]: t for t in report_of(work, f"{name}.gguf.json")["tensors"]} for name in ("with", "without")
    )
    for name in MATRICES:
        assert weighed[name]["weighted_error"]["relative_rmse"] < weighed[name]["error"]["relative_rmse"]
        assert weighed[name]["error"]["relative_rmse"] > plain[name]["error"]["relative_rmse"]
        assert plain[name]["weighted_error"] is None
    assert weighed["token_embd.weight"]["weighted_error"] is None


def test_the_weighted_error_is_shown_with_a_matrix_and_not_without(quantize, llama, imatrix, work):
    for options, shown in ((("--imatrix", imatrix), True), ((), False)):
        result = quantize(llama, *Q4, *options, "--report", "report.md", "--force")
        assert result.exit_code == 0
        assert ("relative RMSE, weighted by importance" in result.stderr) == shown
        assert ("Weighted relative RMSE" in (work / "report.md").read_text()) == shown


def test_a_tensor_without_an_entry_is_named(quantize, llama, work):
    missing = "blk.1.ffn_down.weight"
    imatrix = write_imatrix(work / "imatrix.gguf", entries(without=(missing,)))
    result = quantize(llama, *Q4, "--imatrix", imatrix, "--report", "report.json")
    assert result.exit_code == 0
    (warning,) = report_of(work)["warnings"]
    assert warning == f"{imatrix} lacks importances for 1 of the 14 tensors whose types use them: {missing}."
    assert "warning: " in result.stderr


def test_of_many_tensors_without_an_entry_a_few_are_named(quantize, llama, work):
    imatrix = write_imatrix(work / "imatrix.gguf", entries(without=[*MATRICES][1:]))
    assert quantize(llama, *Q4, "--imatrix", imatrix, "--report", "report.json").exit_code == 0
    (warning,) = report_of(work)["warnings"]
    assert "for 13 of the 14 tensors" in warning
    assert warning.endswith("and 8 more.")


def test_a_format_that_ignores_importances_misses_none(quantize, llama, work):
    imatrix = write_imatrix(work / "imatrix.gguf", entries(without=[*MATRICES][1:]))
    result = quantize(llama, "-f", "q8_0", *Q4[2:], "--imatrix", imatrix)
    assert result.exit_code == 0
    assert "warning" not in result.stderr


@pytest.mark.parametrize("options", [(), ("--imatrix", "imatrix.gguf", "--exclude-weights", "attn_k")])
def test_a_format_that_needs_an_entry_is_refused_before_the_run(options, quantize, llama, imatrix, work):
    result = quantize(llama, "--format", "q2_k_s", *Q4[2:], *options)
    assert result.exit_code == 2
    said = sentence(result.stderr)
    lacking = 2 if options else 14
    assert f"Q2_K_S needs importances for {lacking} of 21 tensors (blk.0.attn_k.weight as Q2_K, " in said
    assert f"){', and imatrix.gguf does not give them' if options else ''}; give an importance matrix" in said
    assert "--imatrix, or choose another format" in said
    assert "%" not in result.stderr
    assert files(work) == ["imatrix.gguf"]


def test_with_its_entries_it_is_written(quantize, llama, imatrix, work):
    assert quantize(llama, "--format", "q2_k_s", *Q4[2:], "--imatrix", imatrix).exit_code == 0
    assert files(work) == ["imatrix.gguf", "tiny-llama-Q2_K_S.gguf"]


def test_entries_of_another_size_are_of_another_model(quantize, llama, work):
    name = "blk.0.ffn_down.weight"
    imatrix = write_imatrix(work / "imatrix.gguf", {**entries(), name: np.ones(500)})
    result = quantize(llama, *Q4, "--imatrix", imatrix)
    assert result.exit_code == 1
    assert f"{imatrix} holds 500 importances for '{name}', which needs 512" in sentence(result.stderr)
    assert files(work) == ["imatrix.gguf"]


def test_parts_of_names_choose_entries(quantize, llama, imatrix, work):
    def known(*options):
        assert quantize(llama, *Q4, "--imatrix", imatrix, *options, "--force", "--report", "r.json").exit_code == 0
        return {tensor["name"] for tensor in report_of(work, "r.json")["tensors"] if tensor["weighted_error"]}

    assert known() == set(MATRICES)
    attention = {name for name in MATRICES if "attn" in name}
    assert known("--exclude-weights", "attn") == set(MATRICES) - attention
    assert known("--include-weights", "attn") == attention
    assert known("--include-weights", "attn_q", "--include-weights", "attn_v") == {
        name for name in MATRICES if "attn_q" in name or "attn_v" in name
    }


def test_if_no_entry_is_left_it_is_as_without(quantize, llama, imatrix, work):
    assert quantize(llama, *Q4, "-o", "without.gguf").exit_code == 0
    assert quantize(llama, *Q4, "-o", "with.gguf", "--imatrix", imatrix, "--exclude-weights", "blk").exit_code == 0
    assert (work / "with.gguf").read_bytes() == (work / "without.gguf").read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--imatrix", "nowhere.gguf"), 1, "importance matrix nowhere.gguf does not exist"),
        (("--include-weights", "attn"), 2, "select from an importance matrix; give it with --imatrix"),
        (("--imatrix", "imatrix.gguf", "--include-weights", "a", "--exclude-weights", "b"), 2, "cannot be combined"),
    ],
)
def test_what_cannot_be_is_a_sentence(options, code, said, quantize, llama, imatrix, work):
    result = quantize(llama, *Q4, *options)
    assert result.exit_code == code
    assert said in sentence(result.stderr)
    assert files(work) == ["imatrix.gguf"]


def test_a_model_is_no_importance_matrix(quantize, llama, work):
    assert quantize(llama, "--format", "f16", *Q4[2:]).exit_code == 0
    result = quantize(llama, *Q4, "--imatrix", "tiny-llama-F16.gguf")
    assert result.exit_code == 1
    assert "tiny-llama-F16.gguf lacks imatrix.datasets, so it is not an importance matrix" in sentence(result.stderr)
