"""What a person sees while the library works: a bar on a terminal, and a plain line now and then elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from quantize_cli.cli import console
from quantize_cli.errors import listed, printable
from quantize_cli.observer import Observer

if TYPE_CHECKING:
    from tqdm import tqdm

    from quantize_cli.planning.model import Plan, PlannedTensor
    from quantize_cli.report.model import Report

#: Seconds before a bar is shown, because short work does not need one.
DELAY = 0.1
#: Seconds between two times shown while kernels are compiled.
TICK = 0.5
#: Seconds between two lines about kernels, where no bar can be drawn.
PAUSE = 10.0
#: Columns for the time before what is said of kernels.
_TIME = 10

#: Terminals with fewer columns do not get the bar itself, only its figures.
_BAR_FROM = 76
#: Columns for all but the name of the tensor, with a bar and without.
_FIGURES, _FIGURES_ALONE = 60, 47
#: The least and the most columns of a name.
_NAMES = (8, 32)

_LAYER = re.compile(r"blk\.\d+")


class Progress(Observer):
    """Shows nothing, and keeps the reports.

    Args:
        before: What to do before the first weight is read.
    """

    def __init__(self, before: Callable[[Plan], None] | None = None) -> None:
        self.reports: list[Report] = []
        self._before = before

    def started(self, plan: Plan) -> None:
        """Do what comes before the first weight."""
        if self._before is not None:
            self._before(plan)

    def finished(self, report: Report) -> None:
        """Keep the report."""
        self.reports.append(report)

    def settle(self) -> None:
        """Leave the cursor at the beginning of a line."""


class _Sentences(Progress):
    """Shows what takes time on lines of its own."""

    def noted(self, sentence: str) -> None:
        self.settle()
        console.say(sentence)

    def compiling(self, types: Sequence[str], *, kept: bool) -> None:
        self.settle()
        console.say(
            f"Compiling kernels{' for ' if types else ''}{listed(types)}{', once for this machine' if kept else ''} ..."
        )

    def compiled(self, seconds: float, *, kept: bool) -> None:
        self.settle()
        console.say(f"Compiled in {seconds:.1f} s{'; later runs take them from the cache' if kept else ''}.")


class _Read:
    """How many bytes of the source are read: a run counts weights, and its tensors tell how many bytes these take."""

    def __init__(self, plan: Plan) -> None:
        from quantize_cli.report.figures import size

        self._total = sum(tensor.source_bytes for tensor in plan.tensors)
        self._number, _, self._unit = size(self._total).partition(" ")
        self._done = 0.0
        self._bytes_of_weight = 0.0

    def tensor_started(self, tensor: PlannedTensor) -> None:
        self._bytes_of_weight = tensor.source_bytes / tensor.weights if tensor.weights else 0.0

    def weights_done(self, weights: int) -> None:
        self._done += weights * self._bytes_of_weight

    def __str__(self) -> str:
        """Show both numbers in the unit of the larger: "1.21/2.70 GiB"."""
        share = self._done / self._total if self._total else 1.0
        decimals = len(self._number.partition(".")[2])
        return f"{share * float(self._number):.{decimals}f}/{self._number} {self._unit}"


class _Bars(_Sentences):
    """One bar after the other, as wide as the terminal; a narrow terminal gets the figures alone."""

    def __init__(self, before: Callable[[Plan], None] | None = None) -> None:
        super().__init__(before)
        self._bar: tqdm[object] | None = None
        self._ticking = ExitStack()
        self._stage = ""
        self._read: _Read | None = None

    def download_started(self, files: int, nbytes: int) -> None:
        self._read = None
        self._start(nbytes, "B", "{n_fmt}/{total_fmt}B", desc=files_of(files))

    def downloaded(self, nbytes: int) -> None:
        self._advance(nbytes)

    def compiling(self, types: Sequence[str], *, kept: bool) -> None:
        super().compiling(types, kept=kept)
        # tqdm does not take away a bar with a delay that is only drawn again, never updated.
        self._ticking.enter_context(_refreshed(self._show(bar_format="{elapsed}{postfix}", delay=0)))

    def kernel_compiled(self, name: str, done: int, total: int) -> None:
        if self._bar is not None:
            said = f"{done} of {total} kernels, {name}"
            self._bar.set_postfix_str(said[: max(console.columns() - _TIME, 0)], refresh=False)

    def stage(self, name: str, done: int, total: int) -> None:
        if self._bar is None or name != self._stage or done < self._bar.n:
            self.settle()
            bar = "|{bar}|" if _wide() else ""
            look = f"{{desc}} {{percentage:3.0f}}%{bar} {{n}}/{{total}}, {{elapsed}}, {{remaining}} left"
            # A part may take minutes, so the time goes on between them.
            self._ticking.enter_context(
                _refreshed(self._show(desc=_fitted(printable(name)).rstrip(), total=total, bar_format=look, delay=0))
            )
            self._stage = name
        self._advance(done - (self._bar.n if self._bar is not None else 0))

    def started(self, plan: Plan) -> None:
        super().started(plan)
        self._read = _Read(plan)
        self._start(plan.weights, " weights", "{postfix}", postfix=self._read)

    def tensor_started(self, tensor: PlannedTensor) -> None:
        if self._bar is not None and self._read is not None:
            self._read.tensor_started(tensor)
            name = tensor.name.removesuffix(".weight")
            self._bar.set_description_str(
                _fitted(printable(f"{name} {tensor.type}" if _wide() else name)), refresh=False
            )

    def weights_done(self, weights: int) -> None:
        if self._read is not None:
            self._read.weights_done(weights)
        self._advance(weights)

    def settle(self) -> None:
        self._ticking.close()
        self._stage = ""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _start(self, total: int, unit: str, count: str, **look: Any) -> None:
        self.settle()
        figures = f"{count}, {{rate_noinv_fmt}}, {{remaining}} left"
        bar = f"|{{bar}}| {figures}" if _wide() else f" {figures.replace(',', '')}"
        self._show(**look, total=total, unit=unit, bar_format=f"{{desc}} {{percentage:3.0f}}%{bar}")

    def _show(self, **look: Any) -> tqdm[object]:
        from tqdm import tqdm

        # Of the whole time's speed: that of the moment, and the time left with it, jumps with each type of tensor.
        usual: dict[str, Any] = {"leave": False, "dynamic_ncols": True, "delay": DELAY, "smoothing": 0}
        self._bar = tqdm(**usual | look, unit_scale=True)
        return self._bar

    def _advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)


def _wide() -> bool:
    return console.columns() >= _BAR_FROM


def _fitted(name: str) -> str:
    """Cut or fill a name, so that the bar does not move."""
    columns = console.columns() - (_FIGURES if _wide() else _FIGURES_ALONE)
    width = min(max(columns, _NAMES[0]), _NAMES[1])
    return name[:width].ljust(width)


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
    """A line for each tenth of a download or a step, and for each layer."""

    def __init__(self, before: Callable[[Plan], None] | None = None) -> None:
        super().__init__(before)
        self._total = 0
        self._done = 0
        self._group = ""
        self._started = 0.0
        self._read: _Read | None = None

    def compiling(self, types: Sequence[str], *, kept: bool) -> None:
        super().compiling(types, kept=kept)
        self._started = time.monotonic()

    def kernel_compiled(self, _name: str, done: int, total: int) -> None:
        if time.monotonic() - self._started >= PAUSE:
            self._started = time.monotonic()
            console.say(f"{done} of {total} kernels are compiled.")

    def download_started(self, files: int, nbytes: int) -> None:
        from quantize_cli.report.figures import size

        console.say(f"Downloading {files_of(files)}, {size(nbytes)}.")
        self._start(nbytes)

    def downloaded(self, nbytes: int) -> None:
        before = self._tenths()
        self._done += nbytes
        if self._tenths() > before:
            self._say_share("downloaded", f"{self._speed() / 1e6:,.1f} MB/s")

    def stage(self, name: str, done: int, total: int) -> None:
        if name != self._group or done < self._done:
            self._group = name
            self._start(total)
            console.say(f"  0% {name}")
        before = self._tenths()
        self._done = done
        if self._tenths() > before:
            self._say_share(name, f"{done:,} of {total:,}")

    def started(self, plan: Plan) -> None:
        super().started(plan)
        self._read = _Read(plan)
        self._start(plan.weights)

    def tensor_started(self, tensor: PlannedTensor) -> None:
        from quantize_cli.report.figures import rate

        layer = _LAYER.match(tensor.name)
        group = layer[0] if layer else tensor.name
        if group != self._group:
            self._group = group
            self._say_share(group, f"{self._read}, {rate(self._speed())}")
        if self._read is not None:
            self._read.tensor_started(tensor)

    def weights_done(self, weights: int) -> None:
        self._done += weights
        if self._read is not None:
            self._read.weights_done(weights)

    def _start(self, total: int) -> None:
        self._total, self._done, self._started = total, 0, time.monotonic()

    def _tenths(self) -> int:
        """Count the tenths that are done; a total of 0 is not known, or nothing."""
        return self._done * 10 // self._total if self._total else 0

    def _speed(self) -> float:
        return self._done / max(time.monotonic() - self._started, 1e-9)

    def _say_share(self, of: str, how_fast: str) -> None:
        if self._done * 100 < self._total or not self._total:  # too early for a speed
            console.say(f"  0% {of}" if self._total else of)
            return
        left = int(max(self._total - self._done, 0) / self._speed())
        console.say(f"{self._done / self._total:4.0%} {of}, {how_fast}, {_interval(left)} left")


def _interval(seconds: int) -> str:
    """Show a time as tqdm does, which is slow to import: 03:05 or 1:03:05."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


def files_of(count: int) -> str:
    """Count files."""
    return f"{count} file" if count == 1 else f"{count} files"


def shown(before: Callable[[Plan], None] | None, *, bars: bool) -> Progress:
    """Make what shows the work as bars, or as lines."""
    return _Bars(before) if bars else _Lines(before)
