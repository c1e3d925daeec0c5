"""`Tries`, which asks the process of `fuzz.worker`, and what its answers come to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from fuzz import worker
from fuzz.verdict import Verdict

_TESTS = Path(__file__).parents[1]
_MEMORY = Path("/dev/shm")

_ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(map(str, (_TESTS.parent, _TESTS))),
    "GGML_NO_BACKTRACE": "1",
    "RUST_BACKTRACE": "0",
    "MALLOC_ARENA_MAX": "1",  # an arena for each thread takes 64 MiB of addresses
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}


class Tries:
    """Inputs tried in another process."""

    def __init__(self, questions: IO[bytes], answers: IO[bytes]) -> None:
        self._questions = questions
        self._answers = answers

    def tried(self, kind: str, numbers: Iterable[int]) -> Iterator[Verdict]:
        """Try inputs of a kind one after the other."""
        for number in numbers:
            self._questions.write(f"{number} {kind}\n".encode())
            self._questions.flush()
            answer = self._answers.readline()
            assert answer, "the process that tries inputs is gone"
            yield Verdict(**json.loads(answer))


@contextmanager
def tries() -> Iterator[Tries]:
    """Start the process; the end of its input stops it."""
    memory = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="fuzz-", dir=memory) as scratch:
        command = [sys.executable, "-m", worker.__name__, scratch]
        environment = {**os.environ, **_ENVIRONMENT}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            yield Tries(process.stdin, process.stdout)
