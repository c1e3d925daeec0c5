"""Limits on size and error: how they are written, what they look at, and what a failed one ends in."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from checkpoint_factory import PRE_TOKENIZER

from quantize_cli import GateError, Observer, Report, UsageError, quantize
from quantize_cli.gates.kinds import KINDS, Measured
from quantize_cli.gates.parse import parse_gates
from quantize_cli.measure.errors import TensorError

PRE = {"pre_tokenizer": PRE_TOKENIZER, "threads": 1}


class Heard(Observer):
    def __init__(self) -> None:
        self.reports: list[Report] = []

    def finished(self, report):
        self.reports.append(report)


# How they are written.


@pytest.mark.parametrize(
    ("keyword", "said", "limit"),
    [
        ("max_rmse", 0.08, 0.08),
        ("max_rmse", 1e-6, 0.000001),
        ("max_rmse", "8%", 0.08),
        ("max_rmse", "attn_v=.05", 0.05),
        ("max_rmse", {"a=b": "5 %"}, 0.05),
        ("min_sqnr", "22.5dB", 22.5),
        ("max_size", 1000, 1000),
        ("max_size", "4GiB", 4 << 30),
        ("max_size", "4G", 4_000_000_000),
        ("max_size", "1.5 kb", 1500),
    ],
)
def test_limits_have_units(keyword, said, limit):
    (gate,) = parse_gates({keyword: said})
    assert gate.limit == pytest.approx(limit)
    assert (gate.pattern is None) == (not isinstance(said, dict) and "=" not in str(said))


def test_the_pattern_ends_at_the_last_equals_sign():
    (gate,) = parse_gates({"max_rmse": {"a=b": 1}})
    assert gate.pattern is not None
    assert gate.pattern.pattern == "a=b"


@pytest.mark.parametrize("keyword", KINDS)
@pytest.mark.parametrize("said", ["", "x", "-1", "nan", "attn_v", "attn_v=", "=3", "(=3", "1e999", "3 miles", [""]])
def test_what_is_not_a_limit_is_refused(keyword, said):
    with pytest.raises(UsageError):
        parse_gates({keyword: said})


def test_no_gates():
    assert parse_gates({"max_rmse": None, "min_sqnr": (), "force": True}) == ()


@pytest.mark.parametrize(
    ("error", "rmse", "sqnr"),
    [
        (TensorError(0.0, 0.0, None, 0.0, 1.0), 0.0, math.inf),
        (TensorError(0.0, None, None, 0.0, None), 0.0, math.inf),  # zeros that stay zeros
        (TensorError(1.0, None, None, 1.0, None), math.inf, -math.inf),  # zeros that do not
        (TensorError(math.inf, math.inf, -math.inf, math.inf, None), math.inf, -math.inf),
        (TensorError(0.1, 0.2, 14.0, 0.3, 0.9), 0.2, 14.0),
    ],
)
def test_what_has_no_error_passes_and_what_is_not_finite_fails(error, rmse, sqnr):
    measured = Measured(1, error)
    assert KINDS["max_rmse"].value(measured) == rmse
    assert KINDS["min_sqnr"].value(measured) == sqnr
    assert KINDS["max_rmse"].passes(rmse, 0.5) == (rmse < 0.5)
    assert KINDS["min_sqnr"].passes(sqnr, 10) == (sqnr > 10)


# What they end in.


def test_gates_that_pass_are_in_the_report(llama, tmp_path):
    gates = {"max_rmse": [0.5, "attn_v=0.5"], "min_sqnr": 1, "max_size": ["1GiB", "attn=1M"]}
    report = quantize(llama, "q8_0", tmp_path / "x.gguf", **gates, **PRE)
    assert [result.passed for result in report.gates] == [True] * 5
    model, tensor, sqnr, size, _ = report.gates
    assert model.value == report.totals.error.relative_rmse
    assert model.tensor is None
    errors = {held.name: held.error.relative_rmse for held in report.tensors if "attn_v" in held.name}
    assert len(errors) == 2
    assert (tensor.tensor, tensor.value) == max(errors.items(), key=lambda item: item[1])
    assert sqnr.value == report.totals.error.sqnr_db
    assert size.value == (tmp_path / "x.gguf").stat().st_size
    assert report.to_dict()["gates"][0]["gate"] == "--max-rmse 0.5"


def test_a_size_fails_before_the_model_is_read(llama, tmp_path, monkeypatch):
    monkeypatch.setattr("quantize_cli.run.executor.run", None)
    with pytest.raises(GateError, match=r"Q8_0 fails --max-size 1,000 bytes, because the model has [\d,]+ bytes; "):
        quantize(llama, "q8_0", tmp_path / "x.gguf", max_size="1000", **PRE)
    with pytest.raises(GateError, match=r"--max-size attn=1 bytes, because blk\..* has [\d,]+ bytes, and 9 more"):
        quantize(llama, "q8_0", tmp_path / "x.gguf", max_size="attn=1", **PRE)
    assert list(tmp_path.iterdir()) == []


def test_an_error_fails_before_any_file_has_its_name(llama, tmp_path):
    (tmp_path / "tiny-llama-Q8_0.gguf").write_text("of yesterday")
    limits = {"max_rmse": {r"attn_v": 1e-6}, "min_sqnr": "1"}
    with pytest.raises(GateError) as failure:
        quantize(llama, ["f32", "q8_0"], tmp_path, force=True, report=tmp_path / "r.json", **limits, **PRE)
    assert failure.value.exit_code == 3
    said = str(failure.value)
    assert said.startswith("Q8_0 fails --max-rmse attn_v=1e-06, because blk.")
    assert said.endswith(
        ", and 1 more tensor is beyond it; no file is kept; choose another format or limit, or --keep-failed."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-llama-Q8_0.gguf"]
    assert (tmp_path / "tiny-llama-Q8_0.gguf").read_text() == "of yesterday"


def test_files_that_fail_can_be_kept(llama, tmp_path):
    heard = Heard()
    with pytest.raises(GateError, match="the files are kept"):
        quantize(
            llama, "q8_0", tmp_path, observer=heard, keep_failed=True, max_size=1, report=tmp_path / "r.json", **PRE
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json", "tiny-llama-Q8_0.gguf"]
    (report,) = heard.reports
    assert [(result.passed, result.beyond) for result in report.gates] == [(False, 1)]


def test_a_gate_that_would_check_nothing_is_refused(llama, tmp_path):
    for gate in ({"max_rmse": "atn_v=0.1"}, {"max_size": "atn_v=1G"}, {"min_sqnr": ["1", "atn_v=9"]}):
        with pytest.raises(UsageError, match="No tensor of tiny-llama matches the pattern of --"):
            quantize(llama, "q8_0", tmp_path, keep_failed=True, **gate, **PRE)
    assert list(Path(tmp_path).iterdir()) == []
