"""Importance matrices in the format before GGUF, usually named imatrix.dat.

Layout, little-endian, all integers i32: the number of entries; for each entry the length of its name, the name, the
number of calls, the number of values, and the values as float32, which are means multiplied by the calls; then,
optionally, the number of chunks, the length of the data set's name, and that name. The reference is
common/imatrix-loader.cpp.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from quantize_cli.checkpoints.reading import OpenFile
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.other_files import START_BYTES, mistaken_for
from quantize_cli.gguf_file.reader import MAX_TENSORS
from quantize_cli.importance.matrix import ImportanceMatrix

_MIN_ENTRY_BYTES = 4 + 4 + 4 + 4  # length of the name, calls, values, one value


def read_legacy(opened: OpenFile, path: Path, file: str) -> ImportanceMatrix:
    """Read the importance matrix at `path`, which is open and which the user called `file`; its values are not checked.

    Raises:
        CheckpointError: The file is damaged or is not an importance matrix.
        OSError: It cannot be read.
    """
    try:
        return _matrix(_Source(opened.stream(), opened.size), file)
    except ValueError as error:
        # The format has no magic, so any first bytes may be right.
        if mistake := mistaken_for(opened.read(0, START_BYTES), "an importance matrix"):
            raise CheckpointError(f"{path} is {mistake}.") from error
        raise CheckpointError(
            f"{path} is not an importance matrix, or is damaged: {error}; give a file that llama-imatrix has written."
        ) from error


class _Source:
    """The bytes of an untrusted file in order; a length that is too large is refused before memory is allocated."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.left = size

    def take(self, count: int, what: str) -> bytes:
        """Read the next `count` bytes; raise ValueError if fewer are left."""
        if not 0 <= count <= self.left:
            raise ValueError(f"{what} takes {count} bytes, but {self.left} are left")
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("it became shorter while it was read")
        self.left -= count
        return data

    def number(self, what: str) -> int:
        """Read the next integer."""
        return int.from_bytes(self.take(4, what), "little", signed=True)

    def text(self, count: int, what: str) -> str:
        """Read the next `count` bytes as text, up to the first zero; bytes that are not UTF-8 become surrogates."""
        raw = self.take(count, what)
        return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _matrix(source: _Source, file: str) -> ImportanceMatrix:
    count = source.number("the number of entries")
    if not 1 <= count <= min(source.left // _MIN_ENTRY_BYTES, MAX_TENSORS):
        raise ValueError(f"its {source.left + 4} bytes cannot hold {count} entries")
    entries = {}
    for _ in range(count):
        name = source.text(source.number("the length of a name"), "a name")
        calls, values = source.number("a number of calls"), source.number("a number of values")
        if values < 1:
            raise ValueError(f"the entry {shown(name)} has {values} values")
        means = np.frombuffer(source.take(4 * values, f"the entry {shown(name)}"), "<f4").astype(np.float32)
        if calls > 0:
            with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses values that are not finite
                means /= np.float32(calls)
        entries[name] = means[np.newaxis]
    chunks = source.number("the number of chunks") if source.left else 0
    length = source.number("the length of the data set's name") if source.left else 0
    datasets = (source.text(length, "the data set's name"),) if length > 0 else ()
    return ImportanceMatrix(entries, file, datasets, chunks)
