"""The check of one file by itself: container, padding, scales, digests. It is read once, a few MiB at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quantize_cli.checkpoints.reading import OpenFile, opened
from quantize_cli.errors import CheckpointError, UnsupportedError, shown
from quantize_cli.gguf_file.reader import GgufHeader, GgufTensor, parse_header
from quantize_cli.gguf_file.trailer import MAGIC, Trailer, parse_trailer, trailer_bytes
from quantize_cli.planning.provenance import VERSION
from quantize_cli.verification.finite import not_finite
from quantize_cli.verification.model import CheckedFile, Findings

#: Bytes that are read at a time.
_PIECE_BYTES = 1 << 22

_AGAIN = "download or quantize it again"


def check_file(path: Path, findings: Findings) -> CheckedFile | None:
    """Check one file, and add what is wrong; return None if its header cannot be read.

    Raises:
        CheckpointError: The file is missing, or the system does not let it be read.
    """
    with opened(path) as file:
        try:
            header = parse_header(file.stream(), file.size, path)
        except (CheckpointError, UnsupportedError) as error:
            findings.add("container", str(path), str(error))
            return None
        return _File(path, file, header, findings).check()


class _File:
    """One open file whose header is sound."""

    def __init__(self, path: Path, file: OpenFile, header: GgufHeader, findings: Findings) -> None:
        self._path = path
        self._file = file
        self._header = header
        self._findings = findings
        self._data_stop = -(-header.data_end // header.alignment) * header.alignment  # padding included
        self._running = _Running(self._trailer())

    def check(self) -> CheckedFile:
        """Read everything once, in order."""
        header, tensors = self._header, self._header.tensors
        for _ in self._pieces(0, header.data_start):
            pass
        if not self._running.agrees():
            self._add("digest", f"{self._path} is damaged: its metadata or table of tensors has changed; {_AGAIN}.")
        begins = [*(tensor.offset for tensor in tensors), min(self._data_stop, self._file.size)]
        for tensor, following in zip(tensors, begins[1:], strict=True):
            name = shown(tensor.name)
            self._look_for_infinity(tensor)
            padding = self._pieces(tensor.offset + tensor.nbytes, following)
            if sum(len(piece) - piece.count(0) for piece in padding):
                self._add(
                    "padding",
                    f"{self._path} is damaged: the padding behind tensor {name} is not zero; {_AGAIN}.",
                    tensor.name,
                )
            if not self._running.agrees():
                self._add(
                    "digest",
                    f"{self._path} is damaged: tensor {name} is the first that does not have its digest; {_AGAIN}.",
                    tensor.name,
                )
        return CheckedFile(
            path=str(self._path),
            bytes=self._file.size,
            tensors=len(tensors),
            blocks=sum(tensor.nbytes // tensor.type.block_bytes for tensor in tensors),
            digests=self._running.known,
        )

    def _add(self, kind: str, sentence: str, tensor: str | None = None) -> None:
        self._findings.add(kind, str(self._path), sentence, tensor)

    def _pieces(self, start: int, stop: int, step: int = _PIECE_BYTES) -> Iterator[bytes]:
        """Read and hash the bytes `start:stop`, `step` at a time: what a header states may be longer than memory."""
        for place in range(start, stop, step):
            piece = self._file.read(place, min(place + step, stop))
            if len(piece) != min(step, stop - place):
                raise CheckpointError(
                    f"{self._path} has become shorter while it was read; run again when it is complete."
                )
            self._running.update(piece)
            yield piece

    def _look_for_infinity(self, tensor: GgufTensor) -> None:
        held = tensor.type
        step = max(1, _PIECE_BYTES // held.block_bytes)
        bad, first = 0, 0
        pieces = self._pieces(tensor.offset, tensor.offset + tensor.nbytes, step * held.block_bytes)
        for number, piece in enumerate(pieces):
            blocks = not_finite(np.frombuffer(piece, np.uint8), held)
            if len(blocks):
                first = first if bad else number * step + int(blocks[0])
                bad += len(blocks)
        if bad:
            unit = "block" if held.quantized else "weight"
            self._add(
                "scales",
                f"{self._path}: tensor {shown(tensor.name)} holds NaN or infinity in {bad:,} of "
                f"{tensor.nbytes // held.block_bytes:,} {unit}s, first in {unit} {first:,}; {_AGAIN}.",
                tensor.name,
            )

    def _trailer(self) -> Trailer | None:
        """Read the digests; a file of other programs has none, and nothing else behind its last tensor."""
        count = len(self._header.tensors)
        behind = self._file.size - self._data_stop
        promised = any(field.key == VERSION for field in self._header.fields)
        if behind <= 0:
            if promised:
                self._add(
                    "digest",
                    f"{self._path} has lost the digests that its key {VERSION} promises: it is cut off, or another "
                    f"program has written it anew; {_AGAIN}.",
                )
            return None
        raw = self._file.read(self._data_stop, self._data_stop + min(behind, trailer_bytes(count) + 1))
        if not promised and not raw.startswith(MAGIC):
            self._add(
                "container",
                f"{self._path} has {behind:,} bytes behind its last tensor, which do not belong to a GGUF file; "
                f"{_AGAIN}.",
            )
            return None
        try:
            return parse_trailer(raw, count)
        except ValueError as error:
            self._add("digest", f"{self._path} is damaged: its trailer {error}; {_AGAIN}.")
            return None


class _Running:
    """The hash of the file from its start, beside the digests that the trailer has of it, if there is one."""

    def __init__(self, trailer: Trailer | None) -> None:
        self.known = trailer is not None
        self._expected = iter(() if trailer is None else (trailer.header, *trailer.tensors))
        self._digest = hashlib.sha256()
        self._wrong = False

    def update(self, data: bytes) -> None:
        """Add what follows."""
        if self.known and not self._wrong:
            self._digest.update(data)

    def agrees(self) -> bool:
        """Tell, at the end of the header or of a tensor, whether the digest is right, or was wrong before."""
        if not self.known or self._wrong:
            return True
        self._wrong = self._digest.digest() != next(self._expected)
        return not self._wrong
