"""Threads that hash and write beside the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from quantize_cli.interrupts import deferred

#: Pieces that may wait for a thread; a piece is a slab of the output, mostly of less than 1 MiB.
_PIECES = 8
#: Outputs that have threads of their own: one hashes about 1 GB a second, and a ladder has several files at a time.
_MOST = 8


class Lane:
    """A thread that does what it is given, in order; where the system has none for us, the owner does it at once.

    It shares only queues of C with its owner: an exception from a signal's handler cannot leave a lock of theirs held.
    After an exception it does nothing more, and its owner gets the exception from the next call.

    Args:
        name: Name of the thread.
        waiting: How much may wait; the owner waits before it gives more.
    """

    def __init__(self, name: str, waiting: int) -> None:
        self._todo: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._free: SimpleQueue[None] = SimpleQueue()
        self._waiting = waiting
        self._error: BaseException | None = None
        self._stopped = False
        self._thread: threading.Thread | None = threading.Thread(target=self._work, name=name)
        try:
            with deferred():
                self._thread.start()
        except RuntimeError:  # the limit of a container, for example
            self._thread = None
            self._waiting = 0
        for _ in range(self._waiting):
            self._free.put(None)

    def do(self, work: Callable[[], object]) -> None:
        """Do `work`, now or later; raise what earlier work has raised."""
        if self._thread is None:
            work()
            return
        self._free.get()
        self._todo.put(work)
        self._raise()

    def offer(self, work: Callable[[], object]) -> bool:
        """Do `work` later if that needs no waiting; tell whether it is taken."""
        try:
            self._free.get_nowait()
        except Empty:
            return False
        self._todo.put(work)
        return True

    def settle(self) -> None:
        """Wait until all that was given is done, and raise what it has raised; more may follow."""
        for _ in range(self._waiting):
            self._free.get()
        for _ in range(self._waiting):
            self._free.put(None)
        self._raise()

    def stop(self) -> None:
        """Let the thread end after what it is doing, and wait for that; nothing may follow."""
        self._stopped = True
        self._todo.put(None)
        if self._thread is not None:
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (work := self._todo.get()) is not None:
            if self._error is None and not self._stopped:
                try:
                    work()
                except BaseException as error:  # noqa: BLE001  # the owner raises it
                    self._error = error
            self._free.put(None)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The threads that take the bytes of an output beside the run."""

    hash: Lane
    write: Lane | None  #: None where the run writes itself, because a stream belongs to the thread that gave it
    write_back: Lane | None

    def settle(self) -> None:
        """Wait until all is hashed and written.

        Raises:
            OutputError: The system has refused it.
        """
        for lane in (self.write, self.hash):
            if lane is not None:
                lane.settle()


@contextmanager
def beside(outputs: int, *, files: bool) -> Iterator[list[Lanes]]:
    """Take the bytes of outputs, files or streams, beside the block; what waits when the block ends is forgotten.

    Yields:
        For each output its threads; some share theirs if there are many outputs.
    """
    with ExitStack() as stack:

        def lane(name: str, waiting: int) -> Lane:
            started = Lane(name, waiting)
            stack.callback(started.stop)
            return started

        def lanes() -> Lanes:
            # What hands on to another is stopped before it.
            write_back = lane("quantize-write-back", 1) if files else None
            write = lane("quantize-write", _PIECES) if files else None
            return Lanes(lane("quantize-hash", _PIECES), write, write_back)

        made = [lanes() for _ in range(min(outputs, _MOST))]
        yield [made[number % _MOST] for number in range(outputs)]
