"""`quantize eval` at the prompt; what it measures comes from a stand-in for the engine."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from types import ModuleType

import pytest
from command_line import sentence
from evaluation_factory import evaluated

from quantize_cli.errors import CheckpointError

MODULE = "quantize_cli.calibrate.evaluate"
FILES = ("a-Q8_0.gguf", "a-Q4_K_M.gguf")


@pytest.fixture
def calls(monkeypatch):
    """Put a stand-in in the engine's place, and list what it is called with."""
    told = []

    def evaluate(files, against, **options):
        options.pop("observer").stage("original", 1, 1)
        told.append((files, against, options))
        if against == "none":
            raise CheckpointError("none does not exist.")
        return evaluated("Q8_0", "Q4_K_M")

    module = ModuleType(MODULE)
    module.__dict__["evaluate"] = evaluate
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr("quantize_cli.calibrate.extra.check_extra", lambda: None)
    return told


@pytest.fixture
def files(work):
    for name in FILES:
        (work / name).write_bytes(b"GGUF\x03\0\0\0")
    (work / "text.txt").write_text("Words.")
    return FILES


def test_options_are_passed_on_and_tables_shown(quantize, calls, files):
    result = quantize("eval", *files, "--against", "org/model")
    assert result.exit_code == 0
    usual = {"texts": (), "context": 512, "tokens": None, "device": "cpu", "dtype": "f32", "revision": None}
    assert calls == [(files, "org/model", usual)]
    lines = result.stdout.splitlines()
    assert lines[0] == "2 files against meta-llama/Meta-Llama-3.1-8B-Instruct  llama"
    assert [line.split()[0] for line in lines if line.startswith("Q")] == ["Q8_0", "Q4_K_M"] * 2
    assert "3,000 scored" in result.stdout
    assert "\x1b" not in result.stdout
    given = ("--text", "text.txt", "--text", "b", "--context", "64", "--tokens", "128", "--device", "cuda:1")
    result = quantize("eval", *files, "--against", "m", *given, "--dtype", "bf16", "--revision", "main")
    assert calls[1][2] == {
        "texts": ("text.txt", "b"),
        "context": 64,
        "tokens": 128,
        "device": "cuda:1",
        "dtype": "bf16",
        "revision": "main",
    }


def test_json_and_reports(quantize, calls, files, work):
    reports = [word for suffix in ("json", "md", "html") for word in ("--report", f"out.{suffix}")]
    result = quantize("eval", *files, "--against", "m", "--json", *reports)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((work / "out.json").read_text())
    assert (work / "out.md").read_text().startswith("# 2 files against ")
    assert (work / "out.html").read_text().startswith("<!DOCTYPE html>")
    result = quantize("eval", *files, "--against", "m", *reports)
    assert sentence(result.stderr).startswith("out.json exists; ")
    assert len(calls) == 1
    assert quantize("eval", *files, "--against", "m", *reports, "--force").exit_code == 0


@pytest.mark.parametrize(("limit", "code"), [("0.05", 0), ("0.01", 3), ("0", 3)])
def test_a_limit_is_held_against_every_file(quantize, calls, files, limit, code):
    result = quantize("eval", *files, "--against", "m", "--max-kld", limit)
    assert result.exit_code == code
    assert "Q4_K_M" in result.stdout
    if code:
        said = sentence(result.stderr)
        assert said.startswith(f"models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf does not pass --max-kld {limit}: its ")
        assert said.endswith(" token, and 1 more of the files do not pass it." if limit == "0" else " nats a token.")


def test_a_kld_that_is_not_a_number_does_not_pass(quantize, calls, files, monkeypatch):
    found = evaluated("Q8_0")
    held = dataclasses.replace(found.files[0].all, mean_kld=math.nan)
    broken = dataclasses.replace(found, files=(dataclasses.replace(found.files[0], all=held),))
    monkeypatch.setattr(sys.modules[MODULE], "evaluate", lambda *_, **__: broken)
    result = quantize("eval", files[0], "--against", "m", "--max-kld", "9")
    assert result.exit_code == 3
    assert sentence(result.stderr).endswith("does not pass --max-kld 9: its mean KLD is not a number.")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "No FILE is given; name the GGUF files to measure."),
        (("a-Q8_0.gguf",), 2, "--against is missing; name the model that the files were made from, a folder, file or"),
        (
            ("a-Q8_0.gguf", "./a-Q8_0.gguf", "--against", "m"),
            2,
            "./a-Q8_0.gguf is given twice, as a-Q8_0.gguf too; name",
        ),
        (("a-Q8_0.gguf", "a-Q8_0.gguf", "--against", "m"), 2, "a-Q8_0.gguf is given twice; name each file once."),
        (("b.gguf", "--against", "m"), 1, "b.gguf does not exist; check the path."),
        ((".", "--against", "m"), 1, ". is a folder; name a GGUF file in it."),
        (("text.txt", "--against", "m"), 1, "text.txt is not a GGUF file, because it does not begin with GGUF; name a"),
        (("a-Q8_0.gguf", "--against", ""), 2, "--against is empty; check the variable that it comes from"),
        (("a-Q8_0.gguf", "--against", "m", "--dtype", "f16"), 2, "--dtype takes f32 or bf16, not 'f16'."),
        (
            ("a-Q8_0.gguf", "--against", "m", "--tokens", "9"),
            2,
            "--tokens 9 is less than a sequence of 512 tokens; give",
        ),
        (("a-Q8_0.gguf", "--against", "m", "--tokens", "x"), 2, "--tokens takes a number of tokens, not 'x'."),
        (
            ("a-Q8_0.gguf", "--against", "m", "--max-kld", "nan"),
            2,
            "--max-kld takes nats a token from 0 on, for example",
        ),
        (("a-Q8_0.gguf", "--against", "m", "--report", "a.txt"), 2, "The name of the report a.txt must end in .json"),
        (("a-Q8_0.gguf", "--against", "m", "--text", "--json"), 2, "--text needs a value; write --text FILE."),
        (("a-Q8_0.gguf", "--against", "m", "--format", "q8_0"), 2, "--format is not an option of eval; it belongs to"),
        (("a-Q8_0.gguf", "--against", "none"), 1, "none does not exist."),
    ],
)
def test_mistakes(quantize, calls, files, arguments, code, said):
    result = quantize("eval", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence(result.stderr).startswith(said)
    assert all(against == "none" for _, against, _ in calls)


@pytest.mark.parametrize(
    "command",
    [("eval", "a-Q8_0.gguf", "--against", "m"), ("calibrate", ".", "-o", "c.gguf")],
    ids=lambda words: words[0],
)
def test_without_the_engines_libraries_one_command_is_told(quantize, files, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = quantize(*command)
    assert result.exit_code == 2
    assert "torch is not installed; install them with: pip install 'quantize-cli[calibrate]'" in result.stderr
