"""Threads whose results come in order, and a run that needs none."""

from __future__ import annotations

import signal
import threading

import pytest

from quantize_cli.run.crew import Crew


@pytest.fixture
def limited(monkeypatch):
    """(number) -> let the system allow no more threads than that."""
    usual = threading.Thread.start

    def limit(number):
        left = [None] * number

        def start(thread):
            if not left:
                raise RuntimeError("can't start new thread")
            left.pop()
            usual(thread)

        monkeypatch.setattr(threading.Thread, "start", start)

    return limit


@pytest.mark.parametrize("allowed", [0, 1, 3, 100])
def test_results_come_in_the_order_of_the_tasks(allowed, limited):
    limited(allowed)
    crew = Crew(lambda task: task * task, 4)
    assert crew.threads == max(1, min(allowed, 4))
    for task in range(50):
        crew.give(task)
    assert [crew.take() for _ in range(50)] == [task * task for task in range(50)]
    crew.stop(wait=True)


@pytest.mark.parametrize("allowed", [0, 4])
@pytest.mark.parametrize("failure", [ValueError, MemoryError, KeyboardInterrupt])
def test_a_failure_is_raised_where_its_result_is_taken(allowed, failure, limited):
    limited(allowed)

    def work(task):
        if task == 2:
            raise failure
        return task

    crew = Crew(work, 4)
    for task in range(4):
        crew.give(task)
    assert [crew.take(), crew.take()] == [0, 1]
    with pytest.raises(failure):
        crew.take()
    assert crew.take() == 3
    crew.stop(wait=True)


def test_an_interrupt_reaches_the_owner_while_it_waits():
    let_go = threading.Event()

    def work(_task):
        signal.raise_signal(signal.SIGINT)
        assert let_go.wait(timeout=60)

    crew = Crew(work, 1)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        crew.give(None)
        crew.take()
    crew.stop(wait=False)  # it does not wait for the thread, which would never end
    let_go.set()
    crew.stop(wait=True)


def test_the_owner_does_something_else_while_it_waits():
    """What it does here is to let the thread go on."""
    go_on = threading.Event()
    crew = Crew(lambda task: go_on.wait(60) and task, 1, meanwhile=go_on.set)
    crew.give("done")
    assert crew.take() == "done"
    crew.stop(wait=True)


def test_an_exception_of_what_the_owner_does_meanwhile_is_raised():
    def fail():
        raise KeyboardInterrupt

    go_on = threading.Event()
    crew = Crew(lambda _task: go_on.wait(60), 1, daemon=True, meanwhile=fail)
    crew.give(None)
    with pytest.raises(KeyboardInterrupt):
        crew.take()
    go_on.set()
    crew.stop(wait=True)
