"""The view of a person at a terminal: progress, the report and errors, all on standard error."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TextIO

import click

from quantize_cli.errors import QuantizeError, listed, printable
from quantize_cli.observer import Observer

if TYPE_CHECKING:
    from tqdm import tqdm

    from quantize_cli.planning.model import Plan, PlannedTensor
    from quantize_cli.report.model import Report

#: Seconds before a bar is shown, because short work does not need one.
DELAY = 0.1
#: Seconds between two times shown while kernels are compiled.
TICK = 0.5

_LAYER = re.compile(r"blk\.\d+")


def fail(sentence: str, cause: BaseException | None) -> None:
    """Show an error in one sentence, below the traceback of `cause` if it is given."""
    if cause is not None:
        import traceback

        traceback.print_exception(cause, file=sys.stderr)
    settle()
    _say(f"quantize: {sentence}")


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


@contextmanager
def progress() -> Iterator[Observer]:
    """Show a bar if standard error is a terminal, and a plain line now and then if it is not."""
    shown = _Bars() if is_terminal(sys.stderr) else _Lines()
    try:
        yield shown
    finally:
        shown.settle()


class _Sentences(Observer):
    """Shows what takes time on lines of its own."""

    def noted(self, sentence: str) -> None:
        self.settle()
        _say(sentence)

    def compiling(self, types: Sequence[str], *, kept: bool) -> None:
        self.settle()
        _say(
            f"Compiling kernels{' for ' if types else ''}{listed(types)}{', once for this machine' if kept else ''} ..."
        )

    def compiled(self, seconds: float, *, kept: bool) -> None:
        self.settle()
        _say(f"Compiled in {seconds:.1f} s{'; later runs take them from the cache' if kept else ''}.")

    def settle(self) -> None:
        """Leave the cursor at the beginning of a line."""


class _Bars(_Sentences):
    """One bar after the other."""

    def __init__(self) -> None:
        self._bar: tqdm[object] | None = None
        self._ticking = ExitStack()

    def download_started(self, files: int, nbytes: int) -> None:
        self._start(nbytes, "B", _files(files))

    def downloaded(self, nbytes: int) -> None:
        self._advance(nbytes)

    def compiling(self, types: Sequence[str], *, kept: bool) -> None:
        super().compiling(types, kept=kept)
        self._ticking.enter_context(_refreshed(self._show(bar_format="{elapsed}")))

    def started(self, plan: Plan) -> None:
        self._start(plan.weights, " weights", "")

    def tensor_started(self, tensor: PlannedTensor) -> None:
        if self._bar is not None:
            self._bar.set_description_str(printable(f"{tensor.name} {tensor.type}"), refresh=False)

    def weights_done(self, weights: int) -> None:
        self._advance(weights)

    def settle(self) -> None:
        self._ticking.close()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _start(self, total: int, unit: str, of: str) -> None:
        self.settle()
        # Without the time left: it jumps with every tensor of another type.
        look = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}]"
        self._show(desc=of, total=total, unit=unit, unit_scale=True, bar_format=look)

    def _show(self, **look: Any) -> tqdm[object]:
        from tqdm import tqdm

        self._bar = tqdm(**look, leave=False, dynamic_ncols=True, delay=DELAY)
        return self._bar

    def _advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)


@contextmanager
def _refreshed(bar: tqdm[object]) -> Iterator[None]:
    """Draw the bar again and again while the library is silent; it stands still where no thread is to be had."""
    stop = Event()

    def tick() -> None:
        while not stop.wait(TICK):
            bar.refresh()

    thread = Thread(target=tick, daemon=True)
    with suppress(RuntimeError):
        thread.start()
    yield
    stop.set()
    if thread.ident is not None:
        thread.join()


class _Lines(_Sentences):
    """A line for each tenth of a download, and for each layer."""

    def __init__(self) -> None:
        self._total = 0
        self._done = 0
        self._group = ""

    def download_started(self, files: int, nbytes: int) -> None:
        from quantize_cli.report.figures import size

        _say(f"Downloading {_files(files)}, {size(nbytes)}.")
        self._start(nbytes)

    def downloaded(self, nbytes: int) -> None:
        before = self._tenths()
        self._done += nbytes
        if self._tenths() > before:
            self._say_share("downloaded")

    def started(self, plan: Plan) -> None:
        self._start(plan.weights)

    def tensor_started(self, tensor: PlannedTensor) -> None:
        layer = _LAYER.match(tensor.name)
        group = layer[0] if layer else tensor.name
        if group != self._group:
            self._group = group
            self._say_share(group)

    def weights_done(self, weights: int) -> None:
        self._done += weights

    def _start(self, total: int) -> None:
        self._total, self._done = total, 0

    def _tenths(self) -> int:
        """Count the tenths that are done; a total of 0 is not known, or nothing."""
        return self._done * 10 // self._total if self._total else 0

    def _say_share(self, of: str) -> None:
        _say(f"{self._done / self._total:4.0%} {of}" if self._total else of)


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _say(line: str) -> None:
    click.echo(printable(line), err=True)


def show(reports: Sequence[Report]) -> None:
    """Print the reports' tables on standard error."""
    from rich.console import Console

    from quantize_cli.report import terminal

    Console(stderr=True, highlight=False).print(terminal.render(reports))
