"""What the library tells while it works; the command line shows it, and the library itself never prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantize_cli.plan.model import Plan, PlannedTensor


class Observer:
    """Receives events, always from the thread that called the library; this one ignores them all."""

    def started(self, plan: Plan) -> None:
        """The run of `plan` begins."""

    def tensor_started(self, tensor: PlannedTensor) -> None:
        """The first bytes of `tensor` are next."""

    def weights_done(self, weights: int) -> None:
        """`weights` more weights have been written."""
