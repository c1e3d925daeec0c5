"""Tensors at known places in files, the common part of every checkpoint on a disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import Extent, SourceFile, Stream, TensorInfo
from quantize_cli.checkpoints.hub_cache import origin_of, sha256_of
from quantize_cli.checkpoints.reading import Stamp, leads_to, opened
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import CheckpointError, shown

if TYPE_CHECKING:
    from quantize_cli.observer import Observer


@dataclass(frozen=True, slots=True)
class Located:
    """A tensor and the place of its bytes."""

    info: TensorInfo
    offset: int  #: in bytes from the start of the file


class TensorFiles:
    """Tensors in the files of one folder, read with plain reads; a file must stay as it was when its header was read.

    A file is opened for each call, so that any number of threads may read, and a model of any number of files holds
    none open.

    Args:
        folder: The folder of the files.
        name: The model's short name.
        location: The model's name in messages.
        sidecars: The small files beside the weights.
    """

    def __init__(self, folder: Path, name: str, location: str, sidecars: FolderSidecars) -> None:
        self.folder = folder
        self.name = name
        self.location = location
        self.sidecars = sidecars
        origin = origin_of(folder)
        self.repository = None if origin is None else origin.repository
        self.commit = None if origin is None else origin.commit
        self._infos: dict[str, TensorInfo] = {}
        self._offsets: dict[str, int] = {}
        self._stamps: dict[str, Stamp] = {}

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """The tensors of all files by name, in file order."""
        return self._infos

    @property
    def source_files(self) -> tuple[SourceFile, ...]:
        """The files of weights; see `Checkpoint.source_files`."""
        return tuple(map(self._source_file, dict.fromkeys(info.file for info in self._infos.values())))

    @property
    def missing(self) -> Mapping[Path, int]:
        """The files that `fetch` will write; empty, because all are here."""
        return {}

    @property
    def stream(self) -> Stream | None:
        """The files whose rows come over the network; None, because rows are read from a disk."""
        return None

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """The stamps of the files whose headers have been read, by name; see `Checkpoint.stamps`."""
        return self._stamps

    def needed(self, extent: Extent) -> Iterable[Extent]:
        """Return the rows themselves; see `Checkpoint.needed`."""
        return (extent,)

    def fetch(self, observer: Observer) -> None:
        """Do nothing: all files are here."""

    def read_bytes(self, name: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Read the rows `start:stop` as they are stored, uint8[stop - start, bytes of a row].

        See `Checkpoint.read_bytes`.

        Raises:
            CheckpointError: The file cannot be read any more, or has changed since its header was read.
        """
        info = self._infos[name]
        if not 0 <= start <= stop <= info.rows:
            raise IndexError(f"rows {start}:{stop} of a tensor of {info.rows} rows")
        row_bytes = info.nbytes // max(info.rows, 1)
        data = np.empty((stop - start, row_bytes), np.uint8)
        self._read(info, start * row_bytes, data.reshape(-1).data)
        return data

    def read_small(self, name: str) -> NDArray[np.uint8]:
        """Read a small tensor's bytes, uint8[nbytes]; see `Checkpoint.read_small`."""
        info = self._infos[name]
        data = np.empty(info.nbytes, np.uint8)
        self._read(info, 0, data.data)
        return data

    def reads(self, path: Path) -> bool:
        """Tell whether `path` leads to one of the files that hold the tensors, or to a small file that was read."""
        files = {*self._stamps, *(info.file for info in self._infos.values())}
        return leads_to(path, (self.folder / file for file in files)) or self.sidecars.reads(path)

    def close(self) -> None:
        """Do nothing: no file stays open between two calls."""

    def _source_file(self, file: str) -> SourceFile:
        """Describe a file that is here."""
        return SourceFile(file, self._stamps[file][0], sha256_of(self.folder / file))

    def _add(self, tensors: Iterable[Located]) -> None:
        """Add the tensors of one file."""
        for tensor in tensors:
            name, file = tensor.info.name, tensor.info.file
            if name in self._infos:
                raise CheckpointError(
                    f"{self.location}: tensor {shown(name)} is in both {self._infos[name].file} and {file}; "
                    "remove the file that does not belong to the model."
                )
            self._infos[name] = tensor.info
            self._offsets[name] = tensor.offset

    def _read(self, info: TensorInfo, start: int, left: memoryview) -> None:
        """Fill `left` with the tensor's bytes from its byte `start` on."""
        path = self.folder / info.file
        with opened(path) as file:
            unchanged = file.stamp == self._stamps[info.file]
            place = self._offsets[info.name] + start
            while unchanged and left:
                count = os.preadv(file.descriptor, (left,), place)
                unchanged = count > 0
                left, place = left[count:], place + count
        if not unchanged:
            raise CheckpointError(
                f"{path} has changed while tensor {shown(info.name)} was read; run again when the file is complete."
            )
