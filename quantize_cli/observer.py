"""What the library tells while it works; the command line shows it, and the library itself never prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantize_cli.planning.model import Plan, PlannedTensor
    from quantize_cli.report.model import Report


class Observer:
    """Receives events in the order below, always in the thread that called the library; this one ignores them all.

    Override what you want to know. An exception that a method raises ends the run and leaves no file behind. Names and
    sentences may hold text from untrusted files: escape control characters before you show them.
    """

    def noted(self, sentence: str) -> None:
        """Receive what is worth knowing about the run that follows; it may come at any time."""

    def warned(self, sentence: str) -> None:
        """Receive one of the plans' warnings, before the first weight is read."""

    def download_started(self, files: int, nbytes: int) -> None:
        """Hear that `files` files of weights, of `nbytes` bytes together, are next to be downloaded."""

    def downloaded(self, nbytes: int) -> None:
        """Hear that `nbytes` more bytes are here; negative where some have to be downloaded again."""

    def compiling(self) -> None:
        """Hear that the run compiles its kernels first, which takes seconds; later runs find them in the cache."""

    def started(self, plan: Plan) -> None:
        """Hear that the weights are next; of several formats, `plan` is that of the first."""

    def tensor_started(self, tensor: PlannedTensor) -> None:
        """Hear that the first bytes of `tensor` are next."""

    def weights_done(self, weights: int) -> None:
        """Hear that `weights` more weights have been written."""

    def finished(self, report: Report) -> None:
        """Receive the report of one format, once the files of all formats have their names."""
