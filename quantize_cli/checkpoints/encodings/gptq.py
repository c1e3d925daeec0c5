"""GPTQ: integers of 2, 4 or 8 bits in a transposed matrix, with a scale and a zero point for each group of columns.

What is a row of weights is a column of the file. The columns of some rows to come are kept, so that the file is read
once, or a few times where a matrix is very large. The arithmetic is the reference's (conversion/base.py,
`dequant_gptq`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.encodings.decoding import Read, check_finite, lacking, unlike, weights
from quantize_cli.checkpoints.encodings.floats import SCALE_DTYPES, Floats, decoded
from quantize_cli.checkpoints.encodings.packed import unpacked_bytes
from quantize_cli.errors import CheckpointError, shown

#: Numbers of bits of a code that the reference decodes.
BITS = (2, 4, 8)
#: Bytes of codes that are kept: all of a matrix, or the columns of some rows.
BAND_BYTES = 64 << 20
#: Slabs are begun in order, but where one band ends, those of two are made at a time.
BANDS_KEPT = 2
#: Bytes of whole rows of the file that are read at a time to fill a band.
READ_BYTES = 1 << 20

_CODES, _ZEROS, _SCALES, _GROUPS = ".qweight", ".qzeros", ".scales", ".g_idx"


class Band(NamedTuple):
    """What some rows of weights are made of; rows of weights are rows here."""

    codes: NDArray[np.uint8]  #: [rows, bytes of a row]
    zeros: Floats  #: [rows, groups]
    scales: Floats  #: [rows, groups]
    groups: NDArray[np.int64]  #: the group of each column


@dataclass(frozen=True)
class Bands:
    """The bands that were read last; safe to use from several threads."""

    held: dict[tuple[str, int], Band] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True, slots=True)
class Transposed:
    """A matrix of GPTQ's codes."""

    info: TensorInfo
    codes: TensorInfo  #: I32 [columns / codes in an int32, rows]; packed along the columns
    zeros: TensorInfo  #: I32 [groups, rows / codes in an int32]; packed along the rows
    scales: TensorInfo  #: [groups, rows]
    groups: TensorInfo  #: I32 [columns]
    bits: int
    offset: int  #: what zero points lack
    bands: Bands

    def rows(self, read: Read, start: int, stop: int) -> Floats:
        """Return rows of weights; see `Decoding.rows`."""
        width = max(1, BAND_BYTES // (self.codes.shape[0] * 4))
        parts = []
        while start < stop:
            number = start // width
            first, last = number * width, min(stop, (number + 1) * width)
            parts.append(self._decoded(self._band(read, number, width), slice(start - first, last - first)))
            start = last
        return np.concatenate(parts) if parts else np.empty((0, self.info.shape[1]), np.float32)

    def _decoded(self, band: Band, rows: slice) -> Floats:
        weights = unpacked_bytes(band.codes[rows], self.bits)
        weights -= np.take(band.zeros[rows], band.groups, axis=1)
        weights *= np.take(band.scales[rows], band.groups, axis=1)
        return weights

    def _band(self, read: Read, number: int, width: int) -> Band:
        key, held = (self.info.name, number), self.bands.held
        with self.bands.lock:
            if key not in held:
                while len(held) >= BANDS_KEPT:
                    held.pop(next(iter(held)))
                held[key] = self._read(read, number * width, min(self.info.shape[0], (number + 1) * width))
            return held[key]

    def _read(self, read: Read, first: int, last: int) -> Band:
        """Read what the rows `first:last` of weights are made of."""
        count = 32 // self.bits
        packed = _columns(read, self.zeros, slice(first // count, -(-last // count)))
        zeros = _unpacked_rows(packed.view("<u4"), self.bits)[first % count :][: last - first]
        scales = decoded(_columns(read, self.scales, slice(first, last)), self.scales.dtype)
        check_finite(scales, self.scales)
        groups = read(self.groups.name, 0, 1).view("<i4").reshape(-1).astype(np.int64)
        if groups.size and not 0 <= groups.min() <= groups.max() < self.scales.rows:
            wrong = groups.min() if groups.min() < 0 else groups.max()
            raise CheckpointError(
                f"{shown(self.groups.name)} of {self.groups.file} names group {wrong}, but {shown(self.scales.name)} "
                f"has {self.scales.rows} groups; download that file again."
            )
        codes = _columns(read, self.codes, slice(first, last))
        return Band(codes, zeros + np.float32(self.offset), scales, groups)


def _columns(read: Read, info: TensorInfo, here: slice) -> NDArray[np.uint8]:
    """Read whole rows of a matrix, some at a time, and keep columns, uint8[columns, bytes of a column]."""
    height, width = info.shape
    size = info.nbytes // max(info.elements, 1)
    columns = np.empty((here.stop - here.start, height), f"V{size}")
    step = max(1, READ_BYTES // max(1, width * size))
    for start in range(0, height, step):
        stop = min(start + step, height)
        columns[:, start:stop] = read(info.name, start, stop).view(columns.dtype)[:, here].T
    return columns.view(np.uint8)


def _unpacked_rows(packed: NDArray[np.uint32], bits: int) -> Floats:
    """Return the codes of int32 that are packed along the rows: uint32[n, k] -> float32[n * 32 / bits, k]."""
    shifts = np.arange(0, 32, bits, dtype=np.uint32)[:, np.newaxis]
    codes = packed[:, np.newaxis] >> shifts & np.uint32((1 << bits) - 1)
    return codes.reshape(-1, packed.shape[1]).astype(np.float32)


def transposed_tensors(infos: Mapping[str, TensorInfo], bits: int, offset: int) -> tuple[Transposed, ...]:
    """Find all matrices of codes, if one of them is complete.

    Args:
        infos: The tensors by name.
        bits: Bits of a code, one of `BITS`.
        offset: What to add to zero points.

    Raises:
        CheckpointError: One of a matrix's tensors is missing, or they do not fit each other.
    """
    coded = [info for info in infos.values() if info.name.endswith(_CODES)]
    stems = [info.name.removesuffix(_CODES) for info in coded]
    if not any(all(stem + suffix in infos for suffix in (_ZEROS, _SCALES, _GROUPS)) for stem in stems):
        return ()
    bands = Bands()
    return tuple(_transposed(infos, codes, bits, offset, bands) for codes in coded)


def _transposed(infos: Mapping[str, TensorInfo], codes: TensorInfo, bits: int, offset: int, bands: Bands) -> Transposed:
    stem, count = codes.name.removesuffix(_CODES), 32 // bits
    for suffix, role in ((_ZEROS, "their zero points"), (_SCALES, "their scales"), (_GROUPS, "their groups")):
        if stem + suffix not in infos:
            raise lacking(stem + suffix, role, codes)
    zeros, scales, groups = (infos[stem + suffix] for suffix in (_ZEROS, _SCALES, _GROUPS))
    if codes.dtype != "I32" or len(codes.shape) != 2:
        raise unlike(codes, scales, "I32 of two dimensions")
    columns, rows = codes.shape[0] * count, codes.shape[1]
    if scales.dtype not in SCALE_DTYPES or len(scales.shape) != 2 or scales.shape[1] != rows or not scales.shape[0]:
        raise unlike(scales, codes, f"{', '.join(SCALE_DTYPES[:-1])} or {SCALE_DTYPES[-1]}, of shape [groups, {rows}]")
    if (zeros.dtype, zeros.shape) != ("I32", (scales.shape[0], -(-rows // count))):
        raise unlike(zeros, codes, f"I32 of shape {[scales.shape[0], -(-rows // count)]}")
    if (groups.dtype, groups.shape) != ("I32", (columns,)):
        raise unlike(groups, codes, f"I32 of shape {[columns]}")
    info = weights(f"{stem}.weight", (rows, columns), codes, zeros, scales, groups)
    return Transposed(info, codes, zeros, scales, groups, bits, offset, bands)
