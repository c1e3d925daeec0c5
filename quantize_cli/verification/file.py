"""The check of one file by itself: container, padding, scales, digests. It is read once, a few MiB at a time."""

from __future__ import annotations

import hashlib
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
        self._blocks = 0

    def check(self) -> CheckedFile:
        """Check everything."""
        header, tensors = self._header, self._header.tensors
        trailer = self._trailer()
        before = self._file.read(0, header.data_start)
        if trailer is not None and hashlib.sha256(before).digest() != trailer.header:
            self._add("digest", f"{self._path} is damaged: its metadata or table of tensors has changed; {_AGAIN}.")
        ends = [tensor.offset + tensor.nbytes for tensor in tensors]
        begins = [*(tensor.offset for tensor in tensors), min(self._data_stop, self._file.size)]
        for number, tensor in enumerate(tensors):
            self._tensor(tensor, None if trailer is None else trailer.tensors[number])
            if any(self._file.read(ends[number], begins[number + 1])):
                self._add(
                    "padding",
                    f"{self._path} is damaged: the padding behind tensor {shown(tensor.name)} is not zero; {_AGAIN}.",
                    tensor.name,
                )
        return CheckedFile(str(self._path), self._file.size, len(tensors), self._blocks, trailer is not None)

    @property
    def _data_stop(self) -> int:
        """Where the padding of the last tensor ends."""
        return -(-self._header.data_end // self._header.alignment) * self._header.alignment

    def _add(self, kind: str, sentence: str, tensor: str | None = None) -> None:
        self._findings.add(kind, str(self._path), sentence, tensor)

    def _trailer(self) -> Trailer | None:
        """Read the digests; a file of other programs has none, and nothing else behind its last tensor."""
        start, count = self._data_stop, len(self._header.tensors)
        behind = self._file.size - start
        raw = self._file.read(start, start + min(max(behind, 0), trailer_bytes(count) + 1))
        promised = any(field.key == VERSION for field in self._header.fields)
        if promised and behind <= 0:
            self._add(
                "digest",
                f"{self._path} has lost the digests that its key {VERSION} promises: it is cut off, or another program "
                f"has written it anew; {_AGAIN}.",
            )
        elif behind > 0:
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

    def _tensor(self, tensor: GgufTensor, expected: bytes | None) -> None:
        """Read one tensor; look for numbers that are not finite, and compare its digest."""
        digest = hashlib.sha256()
        step = max(1, _PIECE_BYTES // tensor.type.block_bytes) * tensor.type.block_bytes
        bad, first = 0, 0
        stop = tensor.offset + tensor.nbytes
        for start in range(tensor.offset, stop, step):
            data = self._file.read(start, min(start + step, stop))
            if len(data) != min(step, stop - start):
                raise CheckpointError(
                    f"{self._path} has become shorter while it was read; run again when it is complete."
                )
            if expected is not None:
                digest.update(data)
            blocks = not_finite(np.frombuffer(data, np.uint8), tensor.type)
            if len(blocks):
                first = first if bad else (start - tensor.offset) // tensor.type.block_bytes + int(blocks[0])
                bad += len(blocks)
        self._blocks += tensor.nbytes // tensor.type.block_bytes
        if bad:
            unit = "block" if tensor.type.quantized else "weight"
            self._add(
                "scales",
                f"{self._path}: tensor {shown(tensor.name)} holds NaN or infinity in {bad:,} of "
                f"{tensor.nbytes // tensor.type.block_bytes:,} {unit}s, first in {unit} {first:,}; {_AGAIN}.",
                tensor.name,
            )
        if expected is not None and digest.digest() != expected:
            self._add(
                "digest",
                f"{self._path} is damaged: tensor {shown(tensor.name)} does not have its digest; {_AGAIN}.",
                tensor.name,
            )
