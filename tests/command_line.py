"""The command in a process of its own, which is the real thing, and what it says when it fails."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from checkpoint_factory import PRE_TOKENIZER

#: What the installed `quantize` script does.
COMMAND = (sys.executable, "-c", "from quantize_cli.cli.app import main; main()")
#: Enough for the small checkpoints of the tests, and a format that is compiled at once.
USUAL = ("--format", "q8_0", "--pre-tokenizer", PRE_TOKENIZER, "--threads", "1")


def started(*arguments: str | Path, command: tuple[str, ...] = COMMAND, **options: object) -> subprocess.Popen[bytes]:
    """The command in a process of its own, its streams in pipes."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    usual = {**streams, "preexec_fn": _hear_signals}
    return subprocess.Popen([*command, *map(str, arguments)], **{**usual, **options})


def _hear_signals() -> None:
    """A shell starts background jobs, and so perhaps these tests, with the signals of the keyboard ignored."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def sentence(stderr: str) -> str:
    """The error that ends `stderr`: one line, one sentence, and no traceback above it."""
    *above, last = stderr.splitlines()
    assert "Traceback" not in stderr
    assert not [line for line in above if line.startswith("quantize:")]
    assert last.startswith("quantize: ")
    assert last.endswith(".")
    assert last.isprintable()
    return last.removeprefix("quantize: ")
