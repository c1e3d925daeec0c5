"""What counts as a fault, and that damages are damages, the same every time."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from gguf_factory import hyperparameters, write_gguf
from oracle.ggml import needs_ggml

from fuzz import verdict
from fuzz.seeds import Input
from fuzz.targets import GOOD, RANDOM, damaged
from fuzz.verdict import Judge
from quantize_cli.errors import CheckpointError

NUMBER = 3  # a good input of a kind that is only planned


@pytest.fixture
def judge(tmp_path):
    return Judge(tmp_path)


def raising(error):
    def plan(*_, **__):
        raise error

    return plan


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("wrong"), "ValueError escapes: 'wrong'"),
        (KeyboardInterrupt(), "KeyboardInterrupt escapes"),
        (MemoryError(), "MemoryError escapes"),
        (CheckpointError("one line is wrong,\nand another one too."), "control characters"),
        (CheckpointError("the name \x1b[31m is wrong; correct it."), "control characters"),
        (CheckpointError("x" * 1501 + "."), "the sentence has 1502 characters"),
        (CheckpointError("there is no end"), "the sentence has no end"),
    ],
)
def test_what_may_not_leave_the_library_is_a_fault(error, says, judge, monkeypatch):
    monkeypatch.setattr(verdict, "plan", raising(error))
    found = judge.judge("config", NUMBER)
    assert found.outcome == "fault"
    assert says in found.detail


def test_a_sentence_is_a_refusal(judge, monkeypatch):
    monkeypatch.setattr(verdict, "plan", raising(CheckpointError("config.json is wrong; correct it.")))
    found = judge.judge("config", NUMBER)
    assert (found.outcome, found.detail) == ("refused", "config.json is wrong; correct it.")


def test_another_sentence_the_second_time_is_a_fault(judge, monkeypatch):
    numbers = count()

    def plan(*_, **__):
        raise CheckpointError(f"tensor {next(numbers)} is wrong; correct it.")

    monkeypatch.setattr(verdict, "plan", plan)
    found = judge.judge("config", verdict.TWICE)
    assert found.outcome == "fault"
    assert found.detail.startswith("the second time it is ('refused', 'tensor 1 is")


@needs_ggml
@pytest.mark.parametrize(
    ("architecture", "output", "source", "outcome"),
    [
        ("stablelm", None, None, "accepted"),
        ("stablelm", "no", "no", "accepted"),
        ("stablelm", "no", None, "fault"),
        ("llama", "no", "no", "fault"),
    ],
)
def test_a_gguf_file_is_excused_where_nothing_is_known_of_its_tensors(
    architecture, output, source, outcome, judge, tmp_path, monkeypatch
):
    write_gguf(tmp_path / "m.gguf", {"a": np.ones(1, np.float32)}, hyperparameters(architecture), architecture)
    given = Input({"m.gguf": (tmp_path / "m.gguf").read_bytes()}, model="m.gguf")
    monkeypatch.setattr(verdict, "damaged", lambda *_: given)
    monkeypatch.setattr(Judge, "convert", lambda self, _, given: self._folder.hold(given.files) or ("accepted", ""))
    monkeypatch.setattr(verdict.loading, "load", lambda path: output if path.name == "out.gguf" else source)
    found = judge.judge("gguf", NUMBER)
    assert found.outcome == outcome
    assert (found.loaded, found.excused) == (output is None, outcome == "accepted" and output is not None)


@pytest.mark.parametrize("kind", RANDOM)
def test_damages_are_damages_and_the_same_every_time(kind):
    numbers = range(GOOD, GOOD + 20)
    found = [damaged(kind, number) for number in numbers]
    assert found == [damaged(kind, number) for number in numbers]
    assert sum(given.files in [good.files for good in RANDOM[kind].good()] for given in found) <= 3
