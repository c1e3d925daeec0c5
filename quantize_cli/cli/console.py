"""What a person sees: reports and errors on standard error, and what was asked for on standard output."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from quantize_cli.errors import QuantizeError, printable

if TYPE_CHECKING:
    from quantize_cli.cli.progress import Progress
    from quantize_cli.planning.model import Plan
    from quantize_cli.report.model import Report

#: Width of the labels below the reports' tables, which is that of the tables' own.
_LABELS = 11


def fail(sentence: str, cause: BaseException | None) -> None:
    """Show an error in one sentence, below the traceback of `cause` if it is given."""
    if cause is not None:
        import traceback

        traceback.print_exception(cause, file=sys.stderr)
    settle()
    say(f"quantize: {sentence}")


def put(text: str) -> None:
    """Print what was asked for on standard output; characters that its encoding lacks are escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with _standard_output():
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


def flush() -> None:
    """Write what standard output still holds, so that an error is not met at exit."""
    if sys.stdout is not None:
        with _standard_output():
            sys.stdout.flush()


@contextmanager
def _standard_output() -> Iterator[None]:
    """Name standard output in the error of a full disk; that nobody reads any more ends the command silently."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise QuantizeError(
            f"Standard output cannot be written ({error.strerror}); free some space, or redirect it elsewhere."
        ) from error


def settle() -> None:
    """Redirect standard output to the null device if it is closed or full, because Python flushes it at exit."""
    try:
        flush()
    except (OSError, QuantizeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether `stream` is a terminal; `sys.stdout` and `sys.stderr` are None if the shell closed them."""
    return stream is not None and stream.isatty()


def columns() -> int:
    """Return the width of the terminal that standard error is, or what $COLUMNS says, or 80."""
    with suppress(OSError):
        if not os.environ.get("COLUMNS") and (width := os.get_terminal_size(2).columns) > 0:
            return width
    return shutil.get_terminal_size().columns


@contextmanager
def progress(*, quiet: bool = False, before: Callable[[Plan], None] | None = None) -> Iterator[Progress]:
    """Show a bar if standard error is a terminal that can draw one, and a plain line now and then if it is not.

    Args:
        quiet: Whether nothing is shown.
        before: What to do before the first weight is read; an exception of it ends the run.
    """
    from quantize_cli.cli.progress import Progress, shown

    observer = Progress(before) if quiet else shown(before, bars=_draws(sys.stderr))
    try:
        yield observer
    finally:
        observer.settle()


def _draws(stream: TextIO | None) -> bool:
    """Tell whether `stream` is a terminal that can draw a line again."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def say(line: str) -> None:
    """Print a line on standard error, without control characters."""
    click.echo(printable(line), err=True)


def show(reports: Sequence[Report]) -> None:
    """Print the reports' tables on standard error, and how the files are checked and used."""
    from rich.console import Console

    from quantize_cli.report import terminal

    # With NO_COLOR, rich alone would still write in bold.
    Console(stderr=True, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto").print(
        terminal.render(reports)
    )
    for label, text in _uses(reports):
        say(f"{label:{_LABELS}}{text}")


def show_use(command: str) -> None:
    """Print a command that uses a file, on standard error."""
    say(f"{'use it':{_LABELS}}{command}")


def _uses(reports: Sequence[Report]) -> Iterator[tuple[str, str]]:
    """Yield a label and a text: the gates, the checksums, and the command that runs the first file."""
    from quantize_cli.report.usage import llama_command

    for report in reports:
        for result in report.gates:
            passed = "passed" if result.passed else "failed"
            of = f", {result.tensor}" if result.tensor else ""
            yield "gate", f"{report.format} {passed} {result.gate} ({result.shown}{of})"
    for report in reports:
        for file in report.files:
            alone = len(reports) == len(report.files) == 1
            yield "sha256", file.sha256 if alone else f"{file.sha256}  {Path(file.path).name}"
    command = llama_command(reports[0])
    if command is not None:
        yield "use it", command
