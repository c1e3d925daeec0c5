"""Damaged inputs by the thousand: refused in one sentence, within bounds, or turned into a file that llama.cpp loads.

A fault is named by its kind and number. See it again with
`PYTHONPATH=tests python -m fuzz --kind KIND --start NUMBER --cases 1`.
"""

from __future__ import annotations

import pytest
from oracle import ggml

from fuzz.large import BUILDERS
from fuzz.targets import GOOD, RANDOM
from fuzz.tries import tries

SHARE = 40  #: damaged inputs of each kind in `make test`
SLOW_SHARE = 250


@pytest.fixture(scope="module")
def running():
    with tries() as running:
        yield running


def check(running, kind: str, numbers: range) -> None:
    verdicts = list(running.tried(kind, numbers))
    assert [str(verdict) for verdict in verdicts if verdict.outcome == "fault"] == []
    assert any(verdict.outcome == "refused" for verdict in verdicts)
    if not ggml.INSTALLED:
        pytest.skip("the files that were accepted were not loaded, because the wheel xllamacpp is not installed")
    assert all(verdict.loaded for verdict in verdicts if verdict.outcome == "accepted")


@pytest.mark.parametrize("kind", RANDOM)
def test_good_inputs_are_accepted(kind, running):
    verdicts = list(running.tried(kind, range(GOOD)))
    assert [str(verdict) for verdict in verdicts if verdict.outcome != "accepted"] == []
    assert all(verdict.loaded == ggml.INSTALLED for verdict in verdicts)


@pytest.mark.parametrize("kind", RANDOM)
def test_damaged_inputs(kind, running):
    check(running, kind, range(100, 100 + SHARE))


@pytest.mark.slow
@pytest.mark.parametrize("kind", RANDOM)
def test_more_damaged_inputs(kind, running):
    check(running, kind, range(1000, 1000 + SLOW_SHARE))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BUILDERS)), ids=list(BUILDERS))
def test_large_inputs(number, running):
    (verdict,) = running.tried("large", [number])
    assert verdict.outcome != "fault", verdict.detail


def test_the_end_of_a_process_is_a_fault_of_its_input_alone(running):
    (fault,) = running.tried("no such kind", [0])
    assert fault.outcome == "fault"
    assert "ends the process with exit code 1" in fault.detail
    (good,) = running.tried("config", [0])
    assert good.outcome == "accepted"
