"""How a signal ends the command: the stack unwinds, and where it does not, the process ends all the same."""

from __future__ import annotations

import os
import signal
from types import FrameType

#: Exit codes follow the shell's convention, 128 + the signal's number.
SIGNALLED = 128
INTERRUPTED = SIGNALLED + signal.SIGINT

STOPPED = "Interrupted; no unfinished file is left behind."

#: Signals that end a process; SIGHUP means that its terminal was closed.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Seconds for the stack to unwind. What a handler raises can get lost, in a destructor for example.
_GRACE = 5


def stop_on_signals() -> None:
    """Let the signals that end a process unwind the stack; a second one, or the end of `_GRACE`, ends it at once."""
    heard = [number for number in _ENDING if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP

    def stop(first: int, _frame: FrameType | None) -> None:
        def end_now(_number: int, _frame: FrameType | None) -> None:
            from quantize_cli.outputs.temporary import remove_unfinished

            remove_unfinished()
            leave(SIGNALLED + first)

        for number in (*heard, signal.SIGALRM):
            signal.signal(number, end_now)
        signal.alarm(_GRACE)
        raise SystemExit(SIGNALLED + first)

    for number in heard:
        signal.signal(number, stop)


def stop_at_once() -> None:
    """Let signals end the process as they usually do, because nothing is left that has to unwind."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def leave(code: int) -> None:
    """End the process without waiting for threads, which may be in a compiler or in a slow read."""
    os._exit(code)
