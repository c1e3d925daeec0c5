"""How long the threads that read from a server wait before they ask it again."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

#: Seconds before the first new attempt; each further one waits twice as long.
FIRST = 0.5
LONGEST = 30.0


class Waits:
    """The waits of all threads of one run, which end at once when the run is stopped.

    Args:
        clock: Seconds since some moment.
        wait: Waits for so many seconds, or until the run is stopped.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wait: Callable[[float], object] | None = None
    ) -> None:
        self.clock = clock
        self._stopped = Event()
        self._wait = wait or self._stopped.wait
        self._until = clock()

    def stop(self) -> None:
        """End all waits, those to come too."""
        self._stopped.set()

    def check(self) -> None:
        """Raise InterruptedError if the run has been stopped."""
        if self._stopped.is_set():
            raise InterruptedError("the run has been stopped")

    def hold(self, seconds: float) -> bool:
        """Let no thread ask for so many seconds: a server that limits requests counts those of all threads.

        Returns whether that is a new wait, not one that another thread was asked for a moment before.
        """
        before, now = self._until, self.clock()
        self._until = max(before, now + seconds)
        return before <= now

    def before_request(self) -> None:
        """Wait as long as `hold` asks."""
        self.check()
        while (seconds := self._until - self.clock()) > 0:
            self._pause(seconds)

    def after_failure(self, failures: int) -> None:
        """Wait before the next attempt, after so many failures in a row."""
        self._pause(min(LONGEST, FIRST * 2.0 ** (failures - 1)))

    def _pause(self, seconds: float) -> None:
        self._wait(seconds)
        self.check()
