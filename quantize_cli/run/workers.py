"""Processes that compile kernels into the cache, one kernel after another.

A process reads a line for each kernel, JSON of its fields, and answers with a line when it has compiled it: JSON of the
sentences that came up, and of whether machine code is lost. It ends when its input ends.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import astuple
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import IO, Any, cast

from quantize_cli.run.kernels import Kernel
from quantize_cli.simd.folders import use_private
from quantize_cli.simd.notes import anything_lost, note, take_notes

_ROOT = Path(__file__).parents[2]
#: Objects between two searches for garbage, which takes a tenth of the compiler's time with Python's own number.
_GARBAGE = 100_000
#: The process takes modules from where this one does, but not from the current folder: that may be a model's.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from quantize_cli.run import workers; workers.serve()"
)


def compile_in_processes(kernels: Iterable[Kernel], processes: int, folder: Path) -> None:
    """Compile the kernels into `folder`; what fails there is left for the caller to compile, or to fail with."""
    if not _has_interpreter():
        return
    waiting = deque(kernels)
    with DefaultSelector() as selector, ExitStack() as stack:
        with suppress(OSError):  # no more processes are to be had
            for _ in range(processes):
                worker = stack.enter_context(_Worker(folder))
                selector.register(worker.answers, EVENT_READ, worker)
                worker.send(waiting.popleft())
        while selector.get_map():
            for key, _ in selector.select():
                if not key.data.receive() or not waiting or not key.data.send(waiting.popleft()):
                    selector.unregister(key.fileobj)


def _has_interpreter() -> bool:
    """Tell whether the system's entry for this process's program is a Python: a program may have Python inside."""
    return not getattr(sys, "frozen", False) and "python" in Path(sys.executable or "").name.lower()


class _Worker:
    """One process; it is killed at the end of the `with` block."""

    def __init__(self, folder: Path) -> None:
        path = [str(Path(entry).absolute()) for entry in sys.path if entry]
        path = path if str(_ROOT) in path else [str(_ROOT), *path]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, json.dumps(path), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        self.answers = cast("IO[bytes]", self._process.stdout)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with suppress(OSError):  # what was not sent to it
            self._process.communicate()

    def send(self, kernel: Kernel) -> bool:
        """Give it work; tell whether it is still there."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(astuple(kernel)).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def receive(self) -> bool:
        """Read an answer, and keep its sentences; tell whether there was one."""
        try:
            sentences, lost = json.loads(self.answers.readline())
        except (TypeError, ValueError):  # it has ended, or is not what it should be
            return False
        for sentence in sentences:
            note(sentence, lost=lost)
        return True


def serve() -> None:
    """Compile what standard input asks for."""
    gc.set_threshold(_GARBAGE)
    use_private(Path(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # nothing else may come between the answers
    for line in sys.stdin.buffer:
        work: Sequence[Any] = json.loads(line)
        Kernel(*work).run()
        answers.write(json.dumps([take_notes(), anything_lost()]).encode() + b"\n")
