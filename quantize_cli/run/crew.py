"""Threads whose results come in the order of their tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from quantize_cli.interrupts import deferred

Task = TypeVar("Task")
Made = TypeVar("Made")

#: Seconds after which a wait looks for signals; the system may deliver them to another thread.
_WAKE = 0.2


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


class Crew(Generic[Task, Made]):
    """Threads that do `work` on each task; where the system has none for us, the owner works itself.

    Its owner shares only queues of C with the threads. The futures of the standard library have locks of Python: an
    exception that a signal's handler raises inside of one leaves it locked, and the process hangs when it joins the
    thread that waits for it.

    Args:
        work: What is to be done, on several threads at a time.
        threads: The number of threads that are wanted; `threads` has those that were started.
        daemon: Let the process end without them; they may only wait for what others send.
        meanwhile: Is called again and again while the owner waits.
    """

    def __init__(
        self,
        work: Callable[[Task], Made],
        threads: int,
        *,
        daemon: bool = False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._meanwhile = meanwhile
        self._todo: SimpleQueue[tuple[int, Task] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, Made | _Failed]] = SimpleQueue()
        self._early: dict[int, Made | _Failed] = {}  # done before tasks that were given earlier
        self._given = 0
        self._taken = 0
        self._stopped = False
        self._threads: list[threading.Thread] = []
        with deferred(), suppress(RuntimeError):  # the limit of a container, for example
            for _ in range(threads):
                thread = threading.Thread(target=self._serve, name="quantize", daemon=daemon)
                thread.start()
                self._threads.append(thread)

    @property
    def threads(self) -> int:
        """Number of threads that work, the owner's among them if there is no other."""
        return len(self._threads) or 1

    def give(self, task: Task) -> None:
        """Let a thread do this task."""
        self._todo.put((self._given, task))
        self._given += 1

    def take(self) -> Made:
        """Wait for the result of the earliest task that was given and not taken; raise what its work has raised."""
        while self._taken not in self._early:
            if not self._threads:
                self._do(self._todo.get())
            try:
                index, made = self._done.get(timeout=_WAKE)
                self._early[index] = made
            except Empty:
                self._meanwhile()
        result = self._early.pop(self._taken)
        self._taken += 1
        if isinstance(result, _Failed):
            raise result.error
        return result

    def stop(self, *, wait: bool) -> None:
        """Let the threads end after the tasks that they work on."""
        self._stopped = True
        for _ in self._threads:
            self._todo.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _serve(self) -> None:
        while not self._stopped and (item := self._todo.get()) is not None:
            self._do(item)

    def _do(self, item: tuple[int, Task] | None) -> None:
        assert item is not None
        index, task = item
        try:
            self._done.put((index, self._work(task)))
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is taken
            self._done.put((index, _Failed(error)))
