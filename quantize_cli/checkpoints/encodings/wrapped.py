"""The common part of encodings: a checkpoint that stands before another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import Checkpoint, Extent, SourceFile, Stream, TensorInfo
from quantize_cli.checkpoints.reading import Stamp
from quantize_cli.checkpoints.sidecars import Sidecars
from quantize_cli.observer import Observer


class Wrapped:
    """A checkpoint with the tensors of another one; an encoding changes some of them.

    Args:
        inner: The checkpoint whose files are read.
        infos: The tensors by name, in file order.
    """

    def __init__(self, inner: Checkpoint, infos: Mapping[str, TensorInfo]) -> None:
        self.inner = inner
        self.infos = infos

    @property
    def name(self) -> str:
        """The model's short name."""
        return self.inner.name

    @property
    def location(self) -> str:
        """The model's name in messages."""
        return self.inner.location

    @property
    def repository(self) -> str | None:
        """The Hub id; see `Checkpoint.repository`."""
        return self.inner.repository

    @property
    def commit(self) -> str | None:
        """The commit of the repository; see `Checkpoint.commit`."""
        return self.inner.commit

    @property
    def sidecars(self) -> Sidecars:
        """The small files beside the weights."""
        return self.inner.sidecars

    @property
    def source_files(self) -> tuple[SourceFile, ...]:
        """The files of weights; see `Checkpoint.source_files`."""
        return self.inner.source_files

    @property
    def missing(self) -> Mapping[Path, int]:
        """The files that `fetch` will write, each with its size in bytes."""
        return self.inner.missing

    @property
    def stream(self) -> Stream | None:
        """The files whose rows come over the network; see `Checkpoint.stream`."""
        return self.inner.stream

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """The stamps of the files of weights; see `Checkpoint.stamps`."""
        return self.inner.stamps

    def needed(self, extent: Extent) -> Iterable[Extent]:
        """Return the same rows of what a tensor is decoded from, or all if it has others; see `Checkpoint.needed`."""
        info = self.infos[extent.name]
        for part in info.in_files:
            alike = part.rows == info.rows
            yield from self.inner.needed(extent._replace(name=part.name) if alike else Extent(part.name, 0, part.rows))

    def fetch(self, observer: Observer) -> None:
        """Download the missing files; see `Checkpoint.fetch`."""
        self.inner.fetch(observer)

    def read_bytes(self, name: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Read rows as they are stored; see `Checkpoint.read_bytes`."""
        return self.inner.read_bytes(name, start, stop)

    def read_small(self, name: str) -> NDArray[np.uint8]:
        """Read a small tensor's bytes; see `Checkpoint.read_small`."""
        return self.inner.read_small(name)

    def reads(self, path: Path) -> bool:
        """Tell whether `path` leads to a file of the model; see `Checkpoint.reads`."""
        return self.inner.reads(path)

    def close(self) -> None:
        """Release file handles."""
        self.inner.close()
