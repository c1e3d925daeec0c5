"""Tensors at known places in files: what every checkpoint on a disk has in common."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.errors import CheckpointError, shown

if TYPE_CHECKING:
    from quantize_cli.checkpoints.sidecars import FolderSidecars


@dataclass(frozen=True, slots=True)
class Located:
    """A tensor and where its bytes lie."""

    info: TensorInfo
    offset: int  #: in bytes from the start of the file


class TensorFiles:
    """Tensors in the files of one folder, read with plain reads; a file must stay as it was when its header was read.

    A file is opened for each call, so that any number of threads may read, and a model of any number of files holds
    none open.

    Args:
        folder: Where the files lie.
        name: The model's name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._infos: dict[str, TensorInfo] = {}
        self._offsets: dict[str, int] = {}
        self._stamps: dict[str, tuple[int, int]] = {}

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self._folder

    @property
    def location(self) -> str:
        """The model as messages name it."""
        return str(self._folder)

    @property
    def sidecars(self) -> FolderSidecars:
        """The small files beside the weights."""
        from quantize_cli.checkpoints.sidecars import FolderSidecars

        return FolderSidecars(self._folder)

    @property
    def name(self) -> str:
        """The model's name as a person would say it."""
        return self._name

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """Every tensor of every file, in file order."""
        return self._infos

    def read_bytes(self, name: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows `start:stop` as they are stored, uint8[stop - start, bytes of a row]; see `Checkpoint.read_bytes`.

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

    def close(self) -> None:
        """Nothing to release: no file stays open between two calls."""

    def _add(self, file: Path, stamp: tuple[int, int], tensors: Iterable[Located]) -> None:
        """Add the tensors of one file; `stamp` was taken before its header was read."""
        self._stamps[file.name] = stamp
        for tensor in tensors:
            name = tensor.info.name
            if name in self._infos:
                raise CheckpointError(
                    f"{self._folder}: tensor {shown(name)} is in both {self._infos[name].file} and {file.name}; "
                    "remove the file that does not belong to the model."
                )
            self._infos[name] = tensor.info
            self._offsets[name] = tensor.offset

    def _read(self, info: TensorInfo, start: int, left: memoryview) -> None:
        """Fill `left` with the tensor's bytes from its byte `start` on."""
        path = self._folder / info.file
        with reading(path), path.open("rb", buffering=0) as file:
            unchanged = stamp_of(os.fstat(file.fileno())) == self._stamps[info.file]
            file.seek(self._offsets[info.name] + start)
            while unchanged and left:
                count = file.readinto(left)
                unchanged = count > 0
                left = left[count:]
        if not unchanged:
            raise CheckpointError(
                f"{path} has changed while tensor {shown(info.name)} was read; start again when it is complete."
            )


def stamp_of(stat: os.stat_result) -> tuple[int, int]:
    """What changes when a file is written."""
    return stat.st_size, stat.st_mtime_ns


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the system's refusals about `path` into sentences, and refuse a pipe or device, which could block."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise CheckpointError(f"{path} is not a regular file; take the model from a source you trust.")
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; download it, or the whole model, again.") from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); check its permissions and its disk."
        ) from error
