"""The interface of a checkpoint to the rest of the package, wherever its tensors come from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from quantize_cli.checkpoints.reading import Stamp
    from quantize_cli.checkpoints.sidecars import Sidecars
    from quantize_cli.observer import Observer

#: safetensors' names of the dtypes whose values can become weights of a GGUF file.
FLOAT_DTYPES = ("BF16", "F16", "F32", "F64")
#: GGML's names of the types whose blocks can be copied from a checkpoint; encodings/ offers tensors of them.
BLOCK_DTYPES = ("MXFP4",)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as its file's header describes it; no weight has been read."""

    name: str
    dtype: str  #: safetensors' name, "BF16", "F16", "F32", "I64" ..., or GGML's, "Q4_K"
    shape: tuple[int, ...]  #: row-major
    nbytes: int
    file: str  #: name of the file that holds it, for messages
    stored: tuple[TensorInfo, ...] = ()  #: the tensors of the files that it is decoded from; see `in_files`

    @property
    def in_files(self) -> tuple[TensorInfo, ...]:
        """The tensors of the files: the one itself, or codes and all that belongs to them."""
        return self.stored or (self,)

    @property
    def elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """Number of rows along the last axis, over all other axes; a vector is one row."""
        return math.prod(self.shape[:-1])


class Extent(NamedTuple):
    """Rows of one tensor."""

    name: str
    start: int
    stop: int


class Stream(Protocol):
    """The files of a checkpoint whose rows come over the network; `read` is safe to call from several threads."""

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """The tensors of the files by name, whatever an encoding makes of them."""
        ...

    def read(self, extent: Extent) -> NDArray[np.uint8]:
        """Read rows over the network, uint8[rows, bytes of a row]."""
        ...

    def hold(self, extent: Extent, rows: NDArray[np.uint8]) -> None:
        """Let the checkpoint's `read_bytes` take these rows from memory."""
        ...

    def forget(self, extent: Extent) -> None:
        """Give up the memory of rows that were held."""
        ...

    def received(self) -> int:
        """Return how many bytes have come since the last call."""
        ...

    def sentences(self) -> Iterable[str]:
        """Return what a user should know since the last call, for example that a server asks to wait."""
        ...

    def stop(self) -> None:
        """Let all reads end soon, and none begin; they raise InterruptedError."""
        ...


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One of the files of weights."""

    name: str  #: with the folders below the model's, if any
    nbytes: int
    sha256: str | None  #: in hex digits, as the Hub states it; None if it is not known without reading the file


class Checkpoint(Protocol):
    """A set of named tensors, and the small files that describe the model."""

    @property
    def name(self) -> str:
        """The model's short name: the name of the folder or file, or the last part of the Hub id."""
        ...

    @property
    def location(self) -> str:
        """The model's name in messages: the path or the Hub id that was given."""
        ...

    @property
    def repository(self) -> str | None:
        """The Hub id, ORG/NAME, of a model on the Hub or in its cache; None for other files."""
        ...

    @property
    def commit(self) -> str | None:
        """The commit of the repository, 40 hexadecimal digits; None for files that are not the Hub's."""
        ...

    @property
    def sidecars(self) -> Sidecars:
        """The small files beside the weights: config.json, the tokenizer files, the model card."""
        ...

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """The tensors of all files by name, known from headers alone, in file order."""
        ...

    @property
    def source_files(self) -> tuple[SourceFile, ...]:
        """The files of weights, in the order of their tensors."""
        ...

    @property
    def missing(self) -> Mapping[Path, int]:
        """The files that `fetch` will write, each with its size in bytes; empty if all files are here."""
        ...

    @property
    def stream(self) -> Stream | None:
        """The files whose rows come over the network; None if rows are read from a disk."""
        ...

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """The stamps of the files of weights on a disk by name, which tell whether one has changed."""
        ...

    def needed(self, extent: Extent) -> Iterable[Extent]:
        """Return which rows of the files `read_bytes` will most likely read for some rows of a tensor."""
        ...

    def fetch(self, observer: Observer) -> None:
        """Download the missing files, so that `read_bytes` can read them; do nothing if all files are here.

        Raises:
            CheckpointError: A file cannot be downloaded, or is not the one whose header has been read.
        """
        ...

    def read_bytes(self, name: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Read the rows `start:stop` of `infos[name].rows` as they are stored, uint8[stop - start, bytes of a row].

        Returns a fresh C-contiguous array; `infos[name].dtype` tells what its bytes mean. Safe to call from several
        threads. No file may be missing.

        Raises:
            CheckpointError: The file cannot be read any more.
        """
        ...

    def read_small(self, name: str) -> NDArray[np.uint8]:
        """Read a small tensor's bytes, uint8[nbytes], also of a file that is missing.

        Raises:
            CheckpointError: The file cannot be read, or the Hub does not send it.
        """
        ...

    def reads(self, path: Path) -> bool:
        """Tell whether `path` leads, by any link, to a file that was read or belongs to the model."""
        ...

    def close(self) -> None:
        """Release file handles."""
        ...
