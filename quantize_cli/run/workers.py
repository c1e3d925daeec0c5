"""Processes that compile kernels into the cache, one kernel after another.

A process reads a line for each kernel, JSON of its fields, and answers with a line when it has compiled it: JSON of the
sentences that came up, and of whether machine code is lost. It ends when its input ends.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import astuple
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from socket import socket, socketpair
from types import TracebackType
from typing import TYPE_CHECKING, Any

from quantize_cli.simd.folders import use_private
from quantize_cli.simd.notes import anything_lost, note, take_notes

if TYPE_CHECKING:
    from quantize_cli.run.kernels import Kernel

_ROOT = Path(__file__).parents[2]
#: Objects between two searches for garbage, which takes a tenth of the compiler's time with Python's own number.
_GARBAGE = 100_000
#: The process takes modules from where this one does, but not from the current folder: that may be a model's.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from quantize_cli.run import workers; workers.serve()"
)
#: Whether one process imports Numba, which takes most of a second, and the others are forks of it.
_FORKS = sys.platform == "linux"
#: Seconds for processes without work to end.
_PATIENCE = 2


class Workers:
    """Processes that compile what they are given; none is left at the end of the `with` block.

    What fails in one is left for the caller to compile, or to fail with.
    """

    def __init__(self, processes: int, folder: Path) -> None:
        self._given: set[Kernel] = set()
        self._waiting: deque[Kernel] = deque()
        self._idle: list[_Line] = []
        self._servers: list[subprocess.Popen[bytes]] = []
        self._busy = DefaultSelector()
        if not _has_interpreter():
            return
        with suppress(OSError):  # no more processes, or files, are to be had
            for count in [processes] if _FORKS else [1] * processes:
                self._start(count, folder)

    def _start(self, count: int, folder: Path) -> None:
        """Start a process that makes itself `count`."""
        path = [str(Path(entry).absolute()) for entry in sys.path if entry]
        path = path if str(_ROOT) in path else [str(_ROOT), *path]
        pairs = [socketpair() for _ in range(count)]
        ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        numbers = [end.fileno() for end in theirs]
        try:
            server = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, json.dumps(path), str(folder), *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # a process with threads cannot be forked
                pass_fds=numbers,
                process_group=0,
            )
        except BaseException:
            for end in ours:
                end.close()
            raise
        finally:
            for end in theirs:
                end.close()
        self._servers.append(server)
        self._idle += map(_Line, ours)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        busy = [key.data for key in (self._busy.get_map() or {}).values()]
        for line in (*self._idle, *busy):
            line.close()
        self._busy.close()
        self._idle.clear()
        for server in self._servers:
            with suppress(subprocess.TimeoutExpired):
                server.wait(0 if busy or kind is not None else _PATIENCE)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        self._servers.clear()

    def give(self, kernels: Iterable[Kernel]) -> None:
        """Let the processes compile the kernels, in this order, but each only once."""
        fresh = [kernel for kernel in dict.fromkeys(kernels) if kernel not in self._given]
        self._given.update(fresh)
        self._waiting += fresh
        while self._idle and self._waiting:
            self._feed(self._idle.pop())

    def finish(self, compiled: Callable[[Kernel], None]) -> None:
        """Wait until all is compiled that can be; tell of each kernel."""
        while self._busy.get_map():
            for key, _ in self._busy.select():
                line = key.data
                self._busy.unregister(line.end)
                if line.receive():
                    compiled(line.kernel)
                    self._feed(line)
                else:
                    line.close()

    def _feed(self, line: _Line) -> None:
        """Give a process the next kernel, if there is one."""
        if not self._waiting:
            self._idle.append(line)
        elif line.send(self._waiting[0]):
            self._waiting.popleft()
            self._busy.register(line.end, EVENT_READ, line)
        else:
            line.close()


def _has_interpreter() -> bool:
    """Tell whether the system's entry for this process's program is a Python: a program may have Python inside."""
    return not getattr(sys, "frozen", False) and "python" in Path(sys.executable or "").name.lower()


class _Line:
    """The way to one process and back."""

    def __init__(self, end: socket) -> None:
        self.end = end
        self.kernel: Kernel | None = None  #: the last that was sent
        self._answers = end.makefile("rb")

    def close(self) -> None:
        """Let the process end."""
        self._answers.close()
        self.end.close()

    def send(self, kernel: Kernel) -> bool:
        """Give it work; tell whether it is still there."""
        self.kernel = kernel
        try:
            self.end.sendall(json.dumps(astuple(kernel)).encode() + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> bool:
        """Read an answer, and keep its sentences; tell whether there was one."""
        try:
            sentences, lost = json.loads(self._answers.readline())
        except (OSError, TypeError, ValueError):  # it has ended, or is not what it should be
            return False
        for sentence in sentences:
            note(sentence, lost=lost)
        return True


def serve() -> None:
    """Compile what is asked for on the sockets whose numbers are arguments, in a process for each."""
    gc.set_threshold(_GARBAGE)
    use_private(Path(sys.argv[2]))
    ends = [socket(fileno=int(number)) for number in sys.argv[3:]]
    from quantize_cli.simd.cache import load_compiler

    load_compiler()
    gc.freeze()  # nor does a fork copy what it does not write to
    mine, *others = ends
    forks: list[int] = []
    for end in others:
        fork = os.fork()
        if fork == 0:
            mine, forks = end, []
            break
        forks.append(fork)
    for end in ends:
        if end is not mine:
            end.close()
    _answer(mine)
    for fork in forks:
        os.waitpid(fork, 0)


def _answer(end: socket) -> None:
    from quantize_cli.run.kernels import Kernel

    with closing(end), end.makefile("rb") as lines:
        for line in lines:
            work: Sequence[Any] = json.loads(line)
            Kernel(*work).run()
            end.sendall(json.dumps([take_notes(), anything_lost()]).encode() + b"\n")
