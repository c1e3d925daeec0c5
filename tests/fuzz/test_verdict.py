"""What counts as a fault, and that damages are damages, the same every time."""

from __future__ import annotations

from itertools import count

import pytest

from fuzz import verdict
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


@pytest.mark.parametrize("kind", RANDOM)
def test_damages_are_damages_and_the_same_every_time(kind):
    numbers = range(GOOD, GOOD + 20)
    found = [damaged(kind, number) for number in numbers]
    assert found == [damaged(kind, number) for number in numbers]
    assert sum(given.files in [good.files for good in RANDOM[kind].good()] for given in found) <= 3
