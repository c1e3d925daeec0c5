"""Integers of 1 to 8 bits, several in an int32, times scales of groups in a row: compressed-tensors' pack-quantized.

A row's first code is in the lowest bits of its first int32. The reference subtracts half the range, or a group's zero
point, and multiplies in float32 (conversion/base.py, `dequant_packed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.encodings.decoding import Read, check_finite, lacking, unlike, weights
from quantize_cli.checkpoints.encodings.floats import SCALE_DTYPES, Floats, decoded
from quantize_cli.errors import CheckpointError, shown

#: Numbers of bits of a code that fill bytes.
BITS = (1, 2, 4, 8)
_CODES, _SCALES, _SHAPE, _ZEROS = "_packed", "_scale", "_shape", "_zero_point"
_INTEGERS = {"I32": "<i4", "I64": "<i8"}


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix of packed integers, with its scales and zero points."""

    info: TensorInfo
    codes: TensorInfo  #: I32 [rows, columns / codes in an int32, rounded up]
    scales: TensorInfo  #: [rows, groups]
    shape: TensorInfo | None  #: two integers, the shape of the weights
    zeros: TensorInfo | None  #: I32 [rows / codes in an int32, rounded up, groups]; packed along the rows
    bits: int

    def rows(self, read: Read, start: int, stop: int) -> Floats:
        """Return rows of weights; see `Decoding.rows`."""
        self._check_shape(read)
        codes = unpacked_bytes(read(self.codes.name, start, stop), self.bits)
        scales = decoded(read(self.scales.name, start, stop), self.scales.dtype)
        check_finite(scales, self.scales)
        rows = np.ascontiguousarray(codes[:, : self.info.shape[1]])
        groups = rows.reshape(*scales.shape, rows.shape[1] // scales.shape[1])
        groups -= self._offsets(read, start, stop)
        groups *= scales[:, :, np.newaxis]
        return rows

    def _offsets(self, read: Read, start: int, stop: int) -> Floats:
        """Return what to subtract from codes, float32[rows, groups, 1] or float32[1, 1, 1]."""
        if self.zeros is None:
            return np.full((1, 1, 1), 1 << self.bits - 1, np.float32)
        count = 32 // self.bits
        first = start // count
        held = read(self.zeros.name, first, -(-stop // count)).view("<u4")
        place = np.arange(start, stop)
        shifts = (place % count * self.bits).astype(np.uint32)
        zeros = held[place // count - first] >> shifts[:, np.newaxis] & np.uint32((1 << self.bits) - 1)
        return zeros.astype(np.float32)[:, :, np.newaxis]

    def _check_shape(self, read: Read) -> None:
        if self.shape is None:
            return
        stated = read(self.shape.name, 0, 1).view(_INTEGERS[self.shape.dtype]).reshape(-1).tolist()
        if tuple(stated) != self.info.shape:
            raise CheckpointError(
                f"{shown(self.shape.name)} of {self.shape.file} holds {stated}, but codes and scales are those of "
                f"{list(self.info.shape)} weights; download the model with its config.json again."
            )


def unpacked_bytes(packed: NDArray[np.uint8], bits: int) -> Floats:
    """Return the codes in rows of bytes, lowest bits first: uint8[n, k] -> float32[n, k * 8 / bits]."""
    return np.take(_codes_of_bytes(bits), packed).view(np.float32)


@lru_cache(maxsize=len(BITS))
def _codes_of_bytes(bits: int) -> NDArray[np.void]:
    """Return the codes of each byte, 256 groups of 8 / bits float32."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = np.arange(256, dtype=np.uint8)[:, np.newaxis] >> shifts & np.uint8((1 << bits) - 1)
    groups: NDArray[np.void] = codes.astype(np.float32).view(f"V{4 * len(shifts)}").reshape(-1)
    return groups


def packed_tensors(infos: Mapping[str, TensorInfo], bits: int, group: int | None) -> tuple[Packed, ...]:
    """Find all packed matrices.

    Args:
        infos: The tensors by name.
        bits: Bits of a code, one of `BITS`.
        group: Weights of a row that share a scale; None is a whole row.

    Raises:
        CheckpointError: Scales are missing or do not fit their codes.
    """
    coded = [info for info in infos.values() if info.name.endswith(".weight" + _CODES)]
    return tuple(_packed(infos, info, bits, group) for info in coded)


def _packed(infos: Mapping[str, TensorInfo], codes: TensorInfo, bits: int, group: int | None) -> Packed:
    name, count = codes.name.removesuffix(_CODES), 32 // bits
    scales, shape, zeros = (infos.get(name + suffix) for suffix in (_SCALES, _SHAPE, _ZEROS))
    if scales is None:
        raise lacking(name + _SCALES, "their scales", codes)
    if codes.dtype != "I32" or len(codes.shape) != 2:
        raise unlike(codes, scales, "I32 of two dimensions")
    rows, groups = codes.shape[0], scales.shape[-1] if scales.shape else 0
    columns = codes.shape[1] * count if group is None else groups * group
    fit = scales.shape == (rows, groups) and groups > 0 and -(-columns // count) == codes.shape[1]
    if scales.dtype not in SCALE_DTYPES or not fit or (group is None and groups != 1):
        wanted = 1 if group is None else -(-codes.shape[1] * count // group)
        raise unlike(scales, codes, f"{', '.join(SCALE_DTYPES[:-1])} or {SCALE_DTYPES[-1]}, of shape {[rows, wanted]}")
    if zeros is not None and (zeros.dtype, zeros.shape) != ("I32", (-(-rows // count), groups)):
        raise unlike(zeros, codes, f"I32 of shape {[-(-rows // count), groups]}")
    if shape is not None and (shape.dtype not in _INTEGERS or shape.shape != (2,)):
        raise unlike(shape, codes, "two integers, I32 or I64")
    stored = [part for part in (codes, scales, shape, zeros) if part is not None]
    return Packed(weights(name, (rows, columns), *stored), codes, scales, shape, zeros, bits)
