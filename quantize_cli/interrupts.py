"""Blocks that no signal may cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

#: Signals whose handlers may raise an exception, or whose default ends the process.
_SIGNALS = (signal.SIGALRM, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


@contextmanager
def deferred() -> Iterator[None]:
    """Handle signals that arrive during the block after it.

    Python runs the handlers of signals in the main thread, between any two of its steps; so other threads need nothing.
    Blocking signals with pthread_sigmask would not do: if any thread of the process does not block a signal, the system
    delivers it there, and the handler still runs in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def deliver() -> None:
        for number in dict.fromkeys(came):
            signal.raise_signal(number)

    with ExitStack() as restored:
        restored.callback(deliver)
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):  # None is a handler that Python cannot put back
                restored.callback(signal.signal, number, handler)
                signal.signal(number, lambda number, _frame: came.append(number))
        yield
