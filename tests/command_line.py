"""The command in this process, which is quick, and in one of its own, which is the real thing; what it says."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from checkpoint_factory import PRE_TOKENIZER

from quantize_cli.cli import app

#: What the installed `quantize` script does.
COMMAND = (sys.executable, "-c", "import sys; from quantize_cli.cli.start import main; sys.exit(main())")
#: Enough for the small checkpoints of the tests, and a format that is compiled at once.
USUAL = ("--format", "q8_0", "--pre-tokenizer", PRE_TOKENIZER, "--threads", "1")


@dataclass(frozen=True)
class Result:
    """How the command ended, and what it wrote."""

    exit_code: int
    stdout_bytes: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode()


def invoke(*arguments: str | Path) -> Result:
    """Run the command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = app.main([str(argument) for argument in arguments])
    return Result(code, out.buffer.getvalue(), err.buffer.getvalue().decode())


def started(*arguments: str | Path, command: tuple[str, ...] = COMMAND, **options: Any) -> subprocess.Popen[bytes]:
    """The command in a process of its own, its streams in pipes."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    usual: dict[str, Any] = {**streams, "preexec_fn": _hear_signals}
    process: subprocess.Popen[bytes] = subprocess.Popen([*command, *map(str, arguments)], **{**usual, **options})
    return process


def pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Its standard output and its standard error."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout, process.stderr


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


def assert_refused(result: Result, code: int, told: str) -> None:
    """Check that a command said one sentence with `told` in it, and nothing on standard output."""
    assert result.exit_code == code
    assert told in sentence(result.stderr)
    assert result.stdout == ""
