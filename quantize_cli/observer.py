"""Events that the library reports while it works. The command line shows them; the library itself never prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantize_cli.planning.model import Plan, PlannedTensor
    from quantize_cli.report.model import Report


class Observer:
    """A receiver of events that ignores them all; override the methods for events that you want.

    The library calls the methods in the order below, always in the thread that called the library. An exception that a
    method raises ends the run and leaves no file behind. Names and sentences may hold text from untrusted files: escape
    control characters before you show them.
    """

    def noted(self, sentence: str) -> None:
        """Receive a sentence about what takes time; it may come at any time."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Hear that `done` of `total` parts of a step of a measurement are done, and what the step is called.

        A step begins with a `done` of 0. It may come between all other events.
        """

    def warned(self, sentence: str) -> None:
        """Receive one of the plans' warnings, before the first weight is read."""

    def download_started(self, files: int, nbytes: int) -> None:
        """Hear that the download of `files` files of weights begins, `nbytes` bytes together."""

    def downloaded(self, nbytes: int) -> None:
        """Hear that `nbytes` more bytes are here; the number is negative if some must be downloaded again."""

    def compiling(self, types: Sequence[str], *, kept: bool) -> None:
        """Hear that kernels must be compiled, which takes seconds, among them those of the block types `types`.

        `kept` tells whether a cache will keep them for later runs.
        """

    def kernel_compiled(self, name: str, done: int, total: int) -> None:
        """Hear that one more kernel is compiled, what it does, and that these are `done` of `total`."""

    def compiled(self, seconds: float, *, kept: bool) -> None:
        """Hear that the kernels are compiled, how long that took, and whether later runs can take them from a cache."""

    def started(self, plan: Plan) -> None:
        """Hear that the work on the weights begins; `plan` is that of the first format."""

    def tensor_started(self, tensor: PlannedTensor) -> None:
        """Hear that the work on `tensor` begins."""

    def weights_done(self, weights: int) -> None:
        """Hear that `weights` more weights have been written."""

    def streamed(self, nbytes: int) -> None:
        """Hear that `nbytes` more bytes of weights that are read from the Hub during the work are here."""

    def finished(self, report: Report) -> None:
        """Receive the report of one format, after the files of all formats have got their names."""
