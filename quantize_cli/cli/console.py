"""What a person at a terminal sees: progress, the report and errors, all on standard error."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import typer

from quantize_cli.errors import QuantizeError
from quantize_cli.observer import Observer

if TYPE_CHECKING:
    from tqdm import tqdm

    from quantize_cli.plan.model import Plan, PlannedTensor
    from quantize_cli.report.model import Report

#: Exit codes beside those of the errors: the shell's conventions, 128 + the signal's number.
INTERRUPTED = 130
SIGNALLED = 128

#: What ends a process without unwinding its stack; SIGHUP is a terminal that was closed, unknown to Windows.
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]

_LAYER = re.compile(r"blk\.\d+")


def stop_on_signals() -> None:
    """Let the signals that end a process unwind the stack, so that no temporary file stays behind."""

    def stop(number: int, _frame: object) -> None:
        raise SystemExit(SIGNALLED + number)

    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP, and means it
            signal.signal(number, stop)


@contextmanager
def errors(*, debug: bool) -> Iterator[None]:
    """Turn errors into one sentence on standard error and an exit code; with `debug`, a traceback too."""
    try:
        yield
    except QuantizeError as error:
        _fail(str(error), error.exit_code, error if debug else None)
    except KeyboardInterrupt as error:
        _fail("Interrupted; no unfinished file was left.", INTERRUPTED, error if debug else None)


def _fail(sentence: str, code: int, cause: BaseException | None) -> None:
    from quantize_cli.report.figures import printable

    if cause is not None:
        import traceback

        traceback.print_exception(cause, file=sys.stderr)
    _settle_standard_output()
    typer.echo(f"quantize: {printable(sentence)}", err=True)
    raise typer.Exit(code)


def _settle_standard_output() -> None:
    """Python flushes standard output once more at exit: where it is closed or full, give it somewhere to go."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at `sys.stdout` or `sys.stderr`, which are None where the shell closed them."""
    return stream is not None and stream.isatty()


@contextmanager
def progress() -> Iterator[Observer]:
    """A bar where standard error is a terminal, else a plain line a layer."""
    if is_terminal(sys.stderr):
        from tqdm import tqdm

        with tqdm(unit=" weights", unit_scale=True, leave=False, dynamic_ncols=True, delay=0.1) as bar:
            yield _Bar(bar)
    else:
        yield _Lines()


class _Bar(Observer):
    def __init__(self, bar: tqdm[object]) -> None:
        self._bar = bar

    def started(self, plan: Plan) -> None:
        self._bar.reset(plan.weights)

    def tensor_started(self, tensor: PlannedTensor) -> None:
        self._bar.set_description_str(f"{tensor.name} {tensor.type}", refresh=False)

    def weights_done(self, weights: int) -> None:
        self._bar.update(weights)


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


def show(reports: Sequence[Report]) -> None:
    """Print the reports' tables on standard error."""
    from rich.console import Console

    from quantize_cli.report import terminal

    Console(stderr=True, highlight=False).print(terminal.render(reports))
