"""Signals wait for the end of a block."""

from __future__ import annotations

import signal
import threading
from contextlib import nullcontext

import pytest

from quantize_cli.interrupts import deferred

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@pytest.fixture
def heard():
    """The signals that were handled."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: came.append(number)) for number in NUMBERS}
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("failure", [None, ValueError])
def test_each_signal_is_handled_once_after_the_block(failure, heard):
    handlers = [signal.getsignal(number) for number in NUMBERS]

    def block():
        with deferred():
            for number in (*NUMBERS, signal.SIGINT):
                signal.raise_signal(number)
            assert heard == []
            if failure:
                raise failure

    with pytest.raises(failure) if failure else nullcontext():
        block()
    assert sorted(heard) == sorted(NUMBERS)
    assert [signal.getsignal(number) for number in NUMBERS] == handlers


def test_an_interrupt_is_raised_after_the_block():
    reached = False

    def block():
        nonlocal reached
        with deferred():
            signal.raise_signal(signal.SIGINT)
            reached = True

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored(heard):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with deferred():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.raise_signal(signal.SIGHUP)
    assert heard == []


def test_another_thread_leaves_the_handlers_alone(heard):
    handlers = [signal.getsignal(number) for number in NUMBERS]
    seen = []

    def block():
        with deferred():
            seen.extend(signal.getsignal(number) for number in NUMBERS)

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert seen == handlers
