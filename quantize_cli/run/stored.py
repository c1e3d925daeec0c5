"""Rows of tensors as they are stored: found by the tensors' moves, read in as few ranges as possible."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from quantize_cli.architectures.moves import RowNumbers, moved
from quantize_cli.checkpoints.base import Checkpoint, Extent, TensorInfo
from quantize_cli.planning.model import PlannedTensor

#: Rows as they are stored, uint8[n, bytes of a row].
Packed = NDArray[np.uint8]

#: Wanted rows with at most so many bytes of unwanted ones between them are read at once.
GAP_BYTES = 1 << 16


class StoredRows:
    """The rows of tensors behind their moves; safe to use from several threads."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._ends: dict[str, Sequence[int]] = {}

    def read(self, tensor: PlannedTensor, start: int, stop: int) -> Packed:
        """Return the rows `start:stop` that the moves make; of a vector, elements.

        Raises:
            CheckpointError: a file cannot be read any more.
        """
        wanted = _wanted(tensor, start, stop)
        if wanted is None:
            return self._range(tensor, start, stop)
        if _are_neighbours(wanted):
            return self._range(tensor, int(wanted[0]), int(wanted[-1]) + 1)
        packed = np.empty((len(wanted), self._row_bytes(tensor)), np.uint8)
        for places in self._gathered(tensor, wanted):
            rows = wanted[places]
            first = int(rows[0])
            read = self._range(tensor, first, int(rows[-1]) + 1)
            packed[places] = read if _are_neighbours(rows) else read[rows - first]
        return packed

    def extents(self, tensor: PlannedTensor, start: int, stop: int) -> Iterator[Extent]:
        """Yield what `read` reads."""
        wanted = _wanted(tensor, start, stop)
        if wanted is None:
            yield from self._extents(tensor, start, stop)
            return
        for places in self._gathered(tensor, wanted):
            yield from self._extents(tensor, int(wanted[places[0]]), int(wanted[places[-1]]) + 1)

    def locate(self, tensor: PlannedTensor, place: int) -> tuple[TensorInfo, int]:
        """Return the source of a weight, and its flat place there, given its flat place in a tensor without maps."""
        columns = tensor.columns if len(tensor.shape) > 1 else 1
        output_row, column = divmod(place, columns)
        row = int(moved(tensor.moves, np.array([output_row], np.int64))[0])
        ends = self._ends_of(tensor)
        number = bisect_right(ends, row)
        begin = ends[number - 1] if number else 0
        return self._checkpoint.infos[tensor.sources[number]], (row - begin) * columns + column

    def _range(self, tensor: PlannedTensor, start: int, stop: int) -> Packed:
        """Read rows `start:stop` of all sources laid end to end."""
        parts = []
        for source, count, rows in self._parts(tensor, start, stop):
            if source.rows == count:
                parts.append(self._checkpoint.read_bytes(source.name, rows.start, rows.stop))
            else:  # a vector, one row to the checkpoint
                parts.append(self._checkpoint.read_bytes(source.name, 0, source.rows).reshape(count, -1)[rows])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _extents(self, tensor: PlannedTensor, start: int, stop: int) -> Iterator[Extent]:
        """Yield what `_range` reads."""
        for source, count, rows in self._parts(tensor, start, stop):
            whole = source.rows != count
            yield Extent(source.name, 0 if whole else rows.start, source.rows if whole else rows.stop)

    def _parts(self, tensor: PlannedTensor, start: int, stop: int) -> Iterator[tuple[TensorInfo, int, slice]]:
        """Yield the sources of the rows `start:stop`, each with its number of rows, and which of them are meant."""
        ends = self._ends_of(tensor)
        while start < stop:
            number = bisect_right(ends, start)
            begin, end = ends[number - 1] if number else 0, ends[number]
            rows = slice(start - begin, min(stop, end) - begin)
            yield self._checkpoint.infos[tensor.sources[number]], end - begin, rows
            start = end

    def _gathered(self, tensor: PlannedTensor, wanted: RowNumbers) -> Iterator[NDArray[np.int64]]:
        """Yield the places in `wanted` of the rows that are read at once, the row with the lowest number first."""
        order = np.argsort(wanted, kind="stable")
        for run in _runs(wanted[order], max(1, GAP_BYTES // self._row_bytes(tensor))):
            yield order[run]

    def _row_bytes(self, tensor: PlannedTensor) -> int:
        source = self._checkpoint.infos[tensor.sources[0]]
        return source.nbytes // _rows_of(tensor, source)

    def _ends_of(self, tensor: PlannedTensor) -> Sequence[int]:
        """Return, for each source, the number of the row behind its last, all sources laid end to end."""
        if (ends := self._ends.get(tensor.name)) is None:
            infos = self._checkpoint.infos
            ends = self._ends[tensor.name] = list(accumulate(_rows_of(tensor, infos[name]) for name in tensor.sources))
        return ends


def _wanted(tensor: PlannedTensor, start: int, stop: int) -> RowNumbers | None:
    """Return the numbers of the sources' rows that the moves lead to, or None if there are no moves."""
    return moved(tensor.moves, np.arange(start, stop, dtype=np.int64)) if tensor.moves else None


def _rows_of(tensor: PlannedTensor, source: TensorInfo) -> int:
    """Return the number of rows that the moves of `tensor` see in a source."""
    return source.elements // row_length(tensor, source)


def row_length(tensor: PlannedTensor, source: TensorInfo) -> int:
    """Return the elements of a source's row: one if the tensor is a vector, and the tensor's if the source is one."""
    if len(tensor.shape) == 1:
        return 1
    return tensor.columns if len(source.shape) == 1 else source.shape[-1]


def _are_neighbours(rows: RowNumbers) -> bool:
    """Tell whether each row is the one behind the last."""
    return bool((np.diff(rows) == 1).all())


def _runs(ordered: RowNumbers, gap: int) -> Iterator[slice]:
    """Yield the parts of ascending row numbers that have at most `gap` rows between neighbours."""
    breaks = np.flatnonzero(np.diff(ordered) > gap) + 1
    yield from (slice(begin, end) for begin, end in pairwise([0, *breaks.tolist(), len(ordered)]))
