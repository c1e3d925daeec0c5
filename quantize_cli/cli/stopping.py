"""How a signal ends the command: the stack unwinds, and where it does not, the process ends all the same."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from quantize_cli.outputs.unfinished import remove_unfinished

#: Exit codes follow the shell's convention, 128 + the signal's number.
SIGNALLED = 128
INTERRUPTED = SIGNALLED + signal.SIGINT

STOPPED = "Interrupted."

#: Signals that end a process; SIGHUP means that its terminal was closed.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Seconds for the stack to unwind, and until a lost exception is raised again.
_GRACE = 5
_AGAIN = 0.01


def stop_on_signals() -> None:
    """Let the signals that end a process unwind the stack; a second one, or the end of `_GRACE`, ends it at once."""
    for number in _heard():
        signal.signal(number, _Stop())


def stop_at_once() -> None:
    """Let signals end the process as they usually do, because nothing is left that has to unwind."""
    for number in _heard():
        signal.signal(number, signal.SIG_DFL)


def leave(code: int) -> NoReturn:
    """End the process without waiting for threads, which may be in a compiler or in a slow read."""
    remove_unfinished()
    os._exit(code)


def _heard() -> list[signal.Signals]:
    """Return the signals that are not ignored from the start: nohup ignores SIGHUP on purpose."""
    return [number for number in _ENDING if signal.getsignal(number) != signal.SIG_IGN]


class _Stop:
    """The handler of the first signal, which takes care of all that follow."""

    def __call__(self, first: int, _frame: FrameType | None) -> NoReturn:
        """Unwind the stack."""
        self._code = SIGNALLED + first
        self._lost = False
        self._usual = sys.unraisablehook
        sys.unraisablehook = self._raise_again
        for number in _heard():
            signal.signal(number, self._end_now)
        signal.signal(signal.SIGALRM, self._wake)
        self._unwind()

    def _unwind(self) -> NoReturn:
        signal.setitimer(signal.ITIMER_REAL, _GRACE)
        raise SystemExit(self._code)

    def _raise_again(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Python loses what is raised while it calls a destructor, for example."""
        if isinstance(unraisable.exc_value, SystemExit):
            self._lost = True
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        else:
            self._usual(unraisable)

    def _wake(self, _number: int, _frame: FrameType | None) -> None:
        if not self._lost:
            leave(self._code)
        self._lost = False
        self._unwind()

    def _end_now(self, _number: int, _frame: FrameType | None) -> None:
        leave(self._code)
