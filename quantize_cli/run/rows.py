"""The weights of some rows of a tensor: read as they are stored, changed by the tensor's maps, decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.architectures.maps import Values, Window
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.checkpoints.base import Checkpoint, Extent
from quantize_cli.methods.factors import Factors
from quantize_cli.planning.model import PlannedTensor
from quantize_cli.run.bounds import BAND_BYTES, BANDS_KEPT
from quantize_cli.run.stored import Packed, StoredRows, row_length
from quantize_cli.simd.sixteen_bits import from_bf16, from_f16, is_finite

#: Rows of weights, float32[n, columns].
Rows = NDArray[np.float32]

#: Bytes of whole rows that are read at a time to fill a band.
READ_BYTES = 1 << 20

#: Source dtype -> the NumPy dtype in which maps that do not compute see its values.
_STORED = {"F64": np.float64, "F32": np.float32, "F16": np.uint16, "BF16": np.uint16}


#: What decodes sources of 16 bits, and tells in the same pass whether all are finite.
_WIDEN = {"F16": from_f16, "BF16": from_bf16}


class Weights(NamedTuple):
    """Rows of weights, and whether all are finite."""

    rows: Rows
    finite: bool


class SourceRows:
    """The rows of tensors behind their moves and maps; safe to use from several threads.

    Args:
        checkpoint: where rows come from.
        factors: foldings that change the rows; None if there are none.
    """

    def __init__(self, checkpoint: Checkpoint, factors: Factors | None = None) -> None:
        self.stored = StoredRows(checkpoint)
        self._factors = factors
        self._checkpoint = checkpoint
        self._lock = Lock()
        self._bands: dict[tuple[str, Window], Values] = {}

    def rows(self, tensor: PlannedTensor, start: int, stop: int) -> Weights:
        """Return the output rows `start:stop`, float32[stop - start, columns].

        Raises:
            CheckpointError: a file cannot be read any more.
        """
        windows = _windows(tensor, start, stop)
        if tensor.maps:
            rows = self._mapped(tensor, windows)
            weights = Weights(rows, is_finite(rows.reshape(-1)))
        else:
            weights = checked(self.stored.read(tensor, windows[0].start, windows[0].stop), tensor.source_dtype)
        if len(tensor.shape) == 1:
            weights = weights._replace(rows=weights.rows.reshape(1, -1))
        if self._factors is None:
            return weights
        return weights._replace(rows=self._factors.apply(tensor, weights.rows, start))

    def extents(self, tensor: PlannedTensor, start: int, stop: int) -> Iterator[Extent]:
        """Yield what is read for the output rows `start:stop`, unless a band of it has been kept."""
        if tensor.values is None:
            window = _windows(tensor, start, stop)[0]
            yield from self.stored.extents(tensor, window.start, window.stop)

    def _mapped(self, tensor: PlannedTensor, windows: Sequence[Window]) -> Rows:
        values = self._values(tensor, windows[0])
        if values.dtype == np.float64:
            values = _narrowed(values)
        for change, made in zip(tensor.maps, windows[1:], strict=True):
            if change.computes:
                values = _computable(values, tensor.source_dtype)
            values = change.apply(values, made)
        if values.dtype == np.uint16:
            return decoded(np.ascontiguousarray(values).view(np.uint8), tensor.source_dtype)
        rows = np.ascontiguousarray(values, np.float32)
        return rows if tensor.rounded_to is None else _rounded(rows, tensor.rounded_to)

    def _values(self, tensor: PlannedTensor, window: Window) -> Values:
        """Return what the sources, behind the moves, have in a window, in the dtype in which maps see it."""
        columns = row_length(tensor, self._checkpoint.infos[tensor.sources[0]])
        dtype = np.dtype(_STORED[tensor.source_dtype])
        if (window.left, window.right) == (0, columns):
            return self.stored.read(tensor, window.start, window.stop).view(dtype)
        bands = -(-(window.stop - window.start) * columns * dtype.itemsize // BAND_BYTES)
        width = -(-columns // bands)
        parts = []
        for left in range(window.left // width * width, window.right, width):
            band = self._band(tensor, window._replace(left=left, right=min(left + width, columns)), dtype)
            parts.append(band[:, max(window.left - left, 0) : window.right - left])
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def _band(self, tensor: PlannedTensor, window: Window, dtype: np.dtype[np.generic]) -> Values:
        key = tensor.name, window
        with self._lock:
            if key not in self._bands:
                while len(self._bands) >= BANDS_KEPT:
                    self._bands.pop(next(iter(self._bands)))
                self._bands[key] = self._read(tensor, window, dtype)
            return self._bands[key]

    def _read(self, tensor: PlannedTensor, window: Window, dtype: np.dtype[np.generic]) -> Values:
        """Read whole rows, some at a time, and keep a window's columns."""
        band: Values = np.empty((window.stop - window.start, window.right - window.left), dtype)
        row_bytes = self._checkpoint.infos[tensor.sources[0]].shape[-1] * dtype.itemsize
        step = max(1, READ_BYTES // row_bytes)
        for start in range(window.start, window.stop, step):
            packed = self.stored.read(tensor, start, min(start + step, window.stop))
            place = start - window.start
            band[place : place + step] = packed.view(dtype)[:, window.left : window.right]
        return band


def _windows(tensor: PlannedTensor, start: int, stop: int) -> list[Window]:
    """Return what is needed for some rows of the output: behind the moves, and behind each of the maps."""
    # To moves and maps, a vector is a column.
    vector = len(tensor.shape) == 1
    windows = [Window(0, tensor.columns, 0, 1) if vector else Window(start, stop, 0, tensor.columns)]
    for change in reversed(tensor.maps):
        windows.insert(0, change.window(windows[0]))
    return windows


def _computable(values: Values, dtype: str) -> Values:
    """Return stored values in the dtype in which the reference computes: float16 for F16, float32 for the others."""
    if values.dtype != np.uint16:
        return values
    values = np.ascontiguousarray(values)
    return values.view(np.float16) if dtype == "F16" else decoded(values.view(np.uint8), dtype)


def decoded(packed: Packed, type_name: str) -> Rows:
    """Return rows as numbers, uint8[n, bytes of a row] -> float32[n, columns]."""
    if type_name == "F32":
        return packed.view(np.float32)
    if type_name == "F64":
        return _narrowed(packed.view(np.float64))
    held = BLOCK_TYPES[type_name]
    rows = np.empty((len(packed), packed.shape[1] // held.block_bytes * held.block_size), np.float32)
    held.dequantize(np.ascontiguousarray(packed), rows)
    return rows


def checked(packed: Packed, type_name: str) -> Weights:
    """Return rows as numbers, as `decoded` does, and whether all are finite."""
    if type_name not in _WIDEN:
        rows = decoded(packed, type_name)
        return Weights(rows, is_finite(rows.reshape(-1)))
    rows = np.empty((len(packed), packed.shape[1] // 2), np.float32)
    finite = _WIDEN[type_name](np.ascontiguousarray(packed).view(np.uint16).reshape(-1), rows.reshape(-1))
    return Weights(rows, finite)


def _narrowed(values: NDArray[np.float64]) -> Rows:
    """Return values as float32, as the reference's converter does before anything else."""
    with np.errstate(over="ignore"):  # the caller refuses infinity
        return values.astype(np.float32)


def _rounded(rows: Rows, type_name: str) -> Rows:
    """Return rows as they are read back from a 16-bit file."""
    held = BLOCK_TYPES[type_name]
    packed = np.empty((len(rows), held.row_bytes(rows.shape[1])), np.uint8)
    held.quantize(rows, packed)
    return decoded(packed, type_name)
