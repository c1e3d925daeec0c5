"""SHA-256 of what is written, computed by a thread of its own beside the run."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Protocol

from quantize_cli.interrupts import deferred

#: Pieces that may wait to be hashed; a piece is a slab of the output, mostly less than 1 MiB.
_WAITING = 8


class Digest(Protocol):
    """What `hashlib.sha256` returns."""

    def update(self, data: bytes | memoryview, /) -> None: ...  # noqa: D102
    def digest(self) -> bytes: ...  # noqa: D102
    def hexdigest(self) -> str: ...  # noqa: D102
    def copy(self) -> Digest: ...  # noqa: D102


class Hashing:
    """A thread that hashes what it is given, in order, for any number of digests.

    It shares only queues of C with its owner: an exception from a signal's handler cannot leave a lock of theirs held.
    """

    def __init__(self) -> None:
        self._todo: SimpleQueue[tuple[Digest, bytes | memoryview | list[bytes]] | None] = SimpleQueue()
        self._free: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = threading.Thread(target=self._work, name="quantize-hash")
        try:
            with deferred():
                self._thread.start()
        except RuntimeError:  # the system has no thread for us
            self._thread = None
        for _ in range(_WAITING):
            self._free.put(None)

    @staticmethod
    def digest() -> Digest:
        """Begin a file."""
        return hashlib.sha256()

    def update(self, digest: Digest, data: bytes | memoryview) -> None:
        """Hash `data`, now or later; it must not change meanwhile."""
        self._give(digest, data)

    def mark(self, digest: Digest, marks: list[bytes]) -> None:
        """Append the digest of what was given up to here to `marks`, now or later."""
        self._give(digest, marks)

    def settle(self) -> None:
        """Wait until all that was given is hashed; more may follow."""
        if self._thread is not None:
            for _ in range(_WAITING):
                self._free.get()
            for _ in range(_WAITING):
                self._free.put(None)

    def stop(self) -> None:
        """Let the thread end after what it was given."""
        self._todo.put(None)

    def finish(self) -> None:
        """Wait until all is hashed."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _give(self, digest: Digest, what: bytes | memoryview | list[bytes]) -> None:
        if self._thread is None:
            _hash(digest, what)
        else:
            self._free.get()
            self._todo.put((digest, what))

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            _hash(*item)
            self._free.put(None)


def _hash(digest: Digest, what: bytes | memoryview | list[bytes]) -> None:
    if isinstance(what, list):
        what.append(digest.copy().digest())
    else:
        digest.update(what)


@contextmanager
def hashing() -> Iterator[Hashing]:
    """Hash beside the block; a block that fails does not wait for the thread."""
    thread = Hashing()
    try:
        yield thread
    finally:
        thread.stop()
