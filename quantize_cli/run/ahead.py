"""What a run needs beside its plan, begun while the plan is made: Numba, and the kernels that are sure to be needed.

Nothing here imports Numba before it begins, because a refusal does not need it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.mixes.base import Mix
from quantize_cli.run.bounds import available_threads
from quantize_cli.run.workers import Workers
from quantize_cli.simd import folders

if TYPE_CHECKING:
    from quantize_cli.run.kernels import Kernel

#: A process takes 200 to 350 MiB. The kernel that takes longest bounds the time of most formats with fewer already.
MOST_PROCESSES = 8


class KernelsAhead:
    """Kernels that are compiled while a run is planned; no process is left at the end of the `with` block."""

    def __init__(self, mixes: Sequence[Mix], checkpoint: Checkpoint, *, weighted: bool) -> None:
        self._mixes = mixes
        self._checkpoint = checkpoint
        self._weighted = weighted
        self.workers: Workers | None = None  #: the processes, if a kernel is missing

    def __enter__(self) -> KernelsAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.workers is not None:
            self.workers.__exit__(kind, error, trace)

    def begin(self) -> None:
        """Import Numba, and let processes compile what the cache lacks; the run meets whatever fails again."""
        with suppress(Exception):
            if _nothing_is_cached() and not os.environ.get("NUMBA_DISABLE_JIT"):
                self.workers = started(MOST_PROCESSES)  # before Numba is here: its import takes long
            from quantize_cli.run import executor  # noqa: F401
            from quantize_cli.run.compiling import missing_of

            missing = missing_of(self._sure())
            if missing:
                self.workers = self.workers or started(MOST_PROCESSES)
            if self.workers is not None:
                self.workers.give(missing)

    def _sure(self) -> Iterable[Kernel]:
        """Yield the kernels of the formats' main types, if some rows are whole blocks, and what reads and measures."""
        from quantize_cli.run.kernels import kernels_of_mixes

        columns = {info.shape[-1] for info in self._checkpoint.infos.values() if len(info.shape) > 1}
        types = {mix.default for mix in self._mixes}
        used = {name for name in types if any(count % GGML_TYPES[name].block_size == 0 for count in columns)}
        sources = {info.dtype for info in self._checkpoint.infos.values()}
        needed = {"quantize": used, "measure": used | {"F32"}, "read": sources, "check": sources}
        kernels = [kernel for kernel in kernels_of_mixes(self._mixes) if kernel.type in needed[kernel.work]]
        weighted = {(kernel.work, kernel.type) for kernel in kernels if kernel.weighted}
        for kernel in kernels:
            if kernel.weighted == (self._weighted and (kernel.work, kernel.type) in weighted):
                yield kernel


def started(most: int) -> Workers | None:
    """Start processes that compile into the cache; None where one alone would, or where there is no cache."""
    processes, folder = min(available_threads(), most), folders.writable()
    return Workers(processes, folder) if processes > 1 and folder is not None else None


def _nothing_is_cached() -> bool:
    return not any(any(folder.iterdir()) for folder in folders.readable())
