"""`quantize calibrate` at the prompt; what it measures comes from a stand-in for the engine."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from command_line import sentence
from evaluation_factory import calibrated

MODULE = "quantize_cli.calibrate.calibrate"


@pytest.fixture
def calls(monkeypatch, work):
    """Put a stand-in in the engine's place, and list what it is called with; the model is a folder."""
    told = []

    def calibrate(model, output, **options):
        options.pop("observer")
        told.append((model, output, options))
        Path(output).write_bytes(b"GGUF")
        return calibrated(4, experts=4)

    module = ModuleType(MODULE)
    module.__dict__["calibrate"] = calibrate
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr("quantize_cli.calibrate.extra.check_extra", lambda: None)
    (work / "my model").mkdir()
    return told


def test_options_are_passed_on_and_a_summary_shown(quantize, calls, work):
    result = quantize("calibrate", "my model", "-o", "c.gguf", "--seed", "7", "--report", "c.html", "--report", "c.md")
    assert (result.exit_code, result.stdout) == (0, "")
    usual = {"texts": (), "context": 512, "tokens": None, "device": "cpu", "dtype": "f32", "revision": None, "seed": 7}
    assert calls == [("my model", "c.gguf", {**usual, "force": False})]
    assert result.stderr.startswith("Calibration of my model  llama")
    assert "channel 7, from layer 2 on; the largest is 70" in " ".join(result.stderr.split())
    assert result.stderr.splitlines()[-1] == "use it     quantize 'my model' --like q4_k_m --calibration c.gguf"
    assert (work / "c.html").read_text().startswith("<!DOCTYPE html>")
    assert (work / "c.md").read_text().startswith("# Calibration of my model\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("my model",), 2, "Name the file to write, for example -o calibration.gguf."),
        (("my model", "-o", "-"), 2, "Name the file to write, for example -o calibration.gguf."),
        (
            ("my model", "-o", "old.gguf"),
            1,
            "old.gguf exists; choose another path with -o, or overwrite it with --force.",
        ),
        (("my model", "-o", "none/c.gguf"), 1, "The folder /"),
        (
            ("my model", "-o", "c.gguf", "--report", "c.json"),
            2,
            "The name of the report c.json must end in .md or .html.",
        ),
        (
            ("my model", "-o", "c.md", "--report", "c.md"),
            2,
            "The report and the calibration would both be c.md; choose",
        ),
        (
            ("my model", "-o", "c.gguf", "--seed", "-1"),
            2,
            "--seed takes a number from 0 to 9223372036854775807, not '-1'.",
        ),
        (
            ("my model", "-o", "c.gguf", "--tokens", "511"),
            2,
            "--tokens 511 is less than a sequence of 512 tokens; give",
        ),
        (("my modle", "-o", "c.gguf"), 1, "my modle does not exist; the nearest name is my model."),
        (("-o", "c.gguf"), 2, "No MODEL is given, and the current folder is not a checkpoint; name a folder"),
        (("my model", "other", "-o", "c.gguf"), 2, "other is one word too many; give one model"),
    ],
)
def test_mistakes(quantize, calls, work, arguments, code, said):
    (work / "old.gguf").write_bytes(b"old")
    result = quantize("calibrate", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence(result.stderr).startswith(said)
    assert calls == []
    assert (work / "old.gguf").read_bytes() == b"old"


def test_force_overwrites(quantize, calls, work):
    (work / "old.gguf").write_bytes(b"old")
    assert quantize("calibrate", "my model", "-o", "old.gguf", "--force").exit_code == 0
    assert (work / "old.gguf").read_bytes() == b"GGUF"
