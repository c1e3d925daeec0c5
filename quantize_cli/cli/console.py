"""What a person at a terminal sees: progress, the report and errors, all on standard error."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from quantize_cli.errors import QuantizeError
from quantize_cli.events import Observer

if TYPE_CHECKING:
    from tqdm import tqdm

    from quantize_cli.plan import Plan, PlannedTensor
    from quantize_cli.report.model import Report

#: Exit codes beside those of the errors: the shell's conventions, 128 + the signal's number.
INTERRUPTED = 130
TERMINATED = 143

_LAYER = re.compile(r"blk\.\d+")


def stop_on_sigterm() -> None:
    """Let SIGTERM unwind the stack, so that no temporary file stays behind."""

    def stop(_signal: int, _frame: object) -> None:
        raise SystemExit(TERMINATED)

    signal.signal(signal.SIGTERM, stop)


@contextmanager
def errors(*, debug: bool) -> Iterator[None]:
    """Turn errors into one sentence on standard error and an exit code; with `debug`, a traceback too."""
    try:
        yield
    except QuantizeError as error:
        _fail(str(error), error.exit_code, error if debug else None)
    except BrokenPipeError as error:
        # Python flushes standard output once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail("Standard output was closed before the file was complete.", 1, error if debug else None)
    except KeyboardInterrupt as error:
        _fail("Interrupted; no file was written.", INTERRUPTED, error if debug else None)


def _fail(sentence: str, code: int, cause: BaseException | None) -> None:
    if cause is not None:
        import traceback

        traceback.print_exception(cause, file=sys.stderr)
    typer.echo(f"quantize: {sentence}", err=True)
    raise typer.Exit(code)


def progress() -> Observer:
    """A bar where standard error is a terminal, else a plain line a layer."""
    return _Bar() if sys.stderr.isatty() else _Lines()


class _Bar(Observer):
    def __init__(self) -> None:
        self._bar: tqdm[object] | None = None

    def started(self, plan: Plan) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=plan.weights, unit=" weights", unit_scale=True, leave=False, dynamic_ncols=True)

    def tensor_started(self, tensor: PlannedTensor) -> None:
        if self._bar is not None:
            self._bar.set_description_str(f"{tensor.name} {tensor.type}", refresh=False)

    def weights_done(self, weights: int) -> None:
        if self._bar is not None:
            self._bar.update(weights)
            if self._bar.n >= (self._bar.total or 0):
                self._bar.close()


class _Lines(Observer):
    def __init__(self) -> None:
        self._total = 0
        self._done = 0
        self._group = ""

    def started(self, plan: Plan) -> None:
        self._total = plan.weights

    def tensor_started(self, tensor: PlannedTensor) -> None:
        layer = _LAYER.match(tensor.name)
        group = layer[0] if layer else tensor.name
        if group != self._group:
            self._group = group
            typer.echo(f"{self._done / self._total:4.0%} {group}", err=True)

    def weights_done(self, weights: int) -> None:
        self._done += weights


def show(report: Report) -> None:
    """Print the report's tables on standard error."""
    from rich.console import Console

    from quantize_cli.report import terminal

    Console(stderr=True, highlight=False).print(terminal.render(report))
