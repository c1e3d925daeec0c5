"""The weights of some rows of a tensor: found by its moves, read in as few ranges as possible, changed by its maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from quantize_cli.architectures.maps import Values
from quantize_cli.architectures.moves import RowNumbers, moved, row_count
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.checkpoints.base import Checkpoint, TensorInfo
from quantize_cli.planning.model import PlannedTensor

#: Rows as they are stored, uint8[n, bytes of a row].
Packed = NDArray[np.uint8]
#: Rows of weights, float32[n, columns].
Rows = NDArray[np.float32]

#: Wanted rows with at most so many bytes of unwanted ones between them are read at once.
GAP_BYTES = 1 << 16


class SourceRows:
    """The rows of tensors behind their moves and maps; safe to use from several threads."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._lock = Lock()
        self._latest: tuple[tuple[str, int, int], Packed] | None = None

    def rows(self, tensor: PlannedTensor, start: int, stop: int) -> Rows:
        """Return the output rows `start:stop`, float32[stop - start, columns]; of a vector, elements.

        Raises:
            CheckpointError: a file cannot be read any more.
        """
        spans = [(start, stop)]
        for change in reversed(tensor.maps):
            spans.insert(0, change.span(*spans[0]))
        whole_matrices = spans[0] != (start, stop)
        packed = (self._kept if whole_matrices else self._stored)(tensor, *spans[0])
        if not tensor.maps:
            return decoded(packed, tensor.source_dtype)
        values: Values = packed.view(_STORED[tensor.source_dtype])
        for change, span in zip(tensor.maps, spans[1:], strict=True):
            if change.computes:
                values = _computable(values, tensor.source_dtype)
            values = change.apply(values, *span)
        if values.dtype == np.uint16:
            return decoded(values.view(np.uint8), tensor.source_dtype)
        rows = np.ascontiguousarray(values, np.float32)
        return rows if tensor.rounded_to is None else _rounded(rows, tensor.rounded_to)

    def locate(self, tensor: PlannedTensor, place: int) -> tuple[TensorInfo, int]:
        """Return the source of a weight, given its flat place in the output, and its flat place there."""
        columns = tensor.columns if len(tensor.shape) > 1 else 1
        row, column = divmod(place, columns)
        row = int(moved(tensor.moves, np.array([row], np.int64))[0])
        for source in (self._checkpoint.infos[name] for name in tensor.sources):
            if row < row_count(source.shape):
                return source, row * columns + column
            row -= row_count(source.shape)
        raise IndexError(f"row {row} of {tensor.name}")

    def _kept(self, tensor: PlannedTensor, start: int, stop: int) -> Packed:
        """Read rows that the next slabs need too: one raw expert is held where experts are transposed."""
        key = (tensor.name, start, stop)
        with self._lock:
            if self._latest is None or self._latest[0] != key:
                self._latest = None  # before the next is read, so that memory holds one
                self._latest = (key, self._stored(tensor, start, stop))
            return self._latest[1]

    def _stored(self, tensor: PlannedTensor, start: int, stop: int) -> Packed:
        """Read rows `start:stop` behind the moves, as they are stored."""
        sources = [self._checkpoint.infos[name] for name in tensor.sources]
        if not tensor.moves:
            return self._range(sources, start, stop)
        wanted = moved(tensor.moves, np.arange(start, stop, dtype=np.int64))
        row_bytes = sources[0].nbytes // row_count(sources[0].shape)
        packed = np.empty((len(wanted), row_bytes), np.uint8)
        order = np.argsort(wanted, kind="stable")
        for run in _runs(wanted[order], max(1, GAP_BYTES // row_bytes)):
            places = order[run]
            first = int(wanted[places[0]])
            packed[places] = self._range(sources, first, int(wanted[places[-1]]) + 1)[wanted[places] - first]
        return packed

    def _range(self, sources: Sequence[TensorInfo], start: int, stop: int) -> Packed:
        """Read rows `start:stop` of all sources laid end to end."""
        parts = []
        begin = 0
        for source in sources:
            end = begin + row_count(source.shape)
            if max(start, begin) < min(stop, end):
                parts.append(self._of_source(source, max(start, begin) - begin, min(stop, end) - begin))
            begin = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _of_source(self, source: TensorInfo, start: int, stop: int) -> Packed:
        if len(source.shape) > 1:
            return self._checkpoint.read_bytes(source.name, start, stop)
        return self._checkpoint.read_bytes(source.name, 0, 1).reshape(source.elements, -1)[start:stop]


#: Source dtype -> the NumPy dtype in which maps that do not compute see its values.
_STORED = {"F32": np.float32, "F16": np.uint16, "BF16": np.uint16}


def _computable(values: Values, dtype: str) -> Values:
    """Return stored values in the dtype in which the reference computes: float16 for F16, float32 for the others."""
    if values.dtype != np.uint16:
        return values
    return values.view(np.float16) if dtype == "F16" else decoded(values.view(np.uint8), dtype)


def decoded(packed: Packed, type_name: str) -> Rows:
    """Return rows as numbers, uint8[n, bytes of a row] -> float32[n, columns]."""
    if type_name == "F32":
        return packed.view(np.float32)
    held = BLOCK_TYPES[type_name]
    rows = np.empty((len(packed), packed.shape[1] // held.block_bytes * held.block_size), np.float32)
    held.dequantize(np.ascontiguousarray(packed), rows)
    return rows


def _rounded(rows: Rows, type_name: str) -> Rows:
    """Return rows as they are read back from a 16-bit file."""
    held = BLOCK_TYPES[type_name]
    packed = np.empty((len(rows), held.row_bytes(rows.shape[1])), np.uint8)
    held.quantize(rows, packed)
    return decoded(packed, type_name)


def _runs(ordered: RowNumbers, gap: int) -> Iterator[slice]:
    """Yield the parts of ascending row numbers that have at most `gap` rows between neighbours."""
    breaks = np.flatnonzero(np.diff(ordered) > gap) + 1
    edges = [0, *breaks.tolist(), len(ordered)]
    yield from (slice(begin, end) for begin, end in pairwise(edges))
