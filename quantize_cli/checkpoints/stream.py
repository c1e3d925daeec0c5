"""Models of the Hugging Face Hub whose weights are read while they are worked on, and never written to a disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import Extent, Stream, TensorInfo
from quantize_cli.checkpoints.hub import HubCheckpoint
from quantize_cli.checkpoints.stream_groups import Groups, groups_of
from quantize_cli.checkpoints.stream_ranges import Ranges
from quantize_cli.checkpoints.stream_rows import HeldRows
from quantize_cli.observer import Observer


class StreamedCheckpoint(HubCheckpoint):
    """A model on the Hub whose rows are read there; files that the cache has are read from it.

    Args:
        model_id: The Hub id, ORG/NAME.
        revision: A branch, tag or commit; None is the main branch. All reads are of the commit that it is now.
        observer: Receives a sentence when headers are read from the Hub.

    Raises:
        CheckpointError, UnsupportedError: See `HubCheckpoint`.
    """

    def __init__(self, model_id: str, revision: str | None, observer: Observer) -> None:
        super().__init__(model_id, revision, observer)
        self._ranges = Ranges(model_id, self._snapshot.commit, self._wanted())
        self._groups = groups_of(tensor for _, tensors in self._pending.values() for tensor in tensors)
        self._grouped = Groups(self._ranges.fill)
        self._held = HeldRows()

    @property
    def missing(self) -> Mapping[Path, int]:
        """The files that `fetch` will write; empty, because none will be written."""
        return {}

    @property
    def stream(self) -> Stream | None:
        """The files on the Hub, or None if the cache has all of them."""
        return self if self._pending else None

    def fetch(self, observer: Observer) -> None:
        """Do nothing: rows are read when they are needed."""

    def read_bytes(self, name: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Take rows from memory if all of them are held, or read them; see `Checkpoint.read_bytes`."""
        rows = self._held.find(name, start, stop)
        return super().read_bytes(name, start, stop) if rows is None else rows

    def read(self, extent: Extent) -> NDArray[np.uint8]:
        """Read rows; see `Stream.read`."""
        return super().read_bytes(*extent)

    def hold(self, extent: Extent, rows: NDArray[np.uint8]) -> None:
        """Let `read_bytes` take these rows from memory."""
        self._held.add(extent, rows)

    def forget(self, extent: Extent) -> None:
        """Give up the memory of rows that were held."""
        self._held.drop(extent)

    def received(self) -> int:
        """Return how many bytes have come since the last call."""
        return self._ranges.received()

    def sentences(self) -> Sequence[str]:
        """Return what a user should know since the last call."""
        return self._ranges.sentences()

    def stop(self) -> None:
        """Let all reads end soon, and none begin."""
        self._ranges.stop()

    def close(self) -> None:
        """Stop the reads that are under way."""
        self.stop()

    def _read(self, info: TensorInfo, start: int, left: memoryview) -> None:
        """Fill `left` with the tensor's bytes from its byte `start` on."""
        place = self._offsets[info.name] + start
        if info.file not in self._pending:
            super()._read(info, start, left)
        elif group := self._groups.get(info.name):
            self._grouped.fill(group, place, left)
        else:
            self._ranges.fill(info.file, place, left)
