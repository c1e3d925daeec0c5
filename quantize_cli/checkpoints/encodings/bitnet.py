"""BitNet as transformers stores it: four quarters of a matrix in one, each code of 2 bits, and one scale.

Rows of the first quarter are in the lowest bits. A code is one more than a weight before it is divided by the scale
(conversion/base.py of the reference, `dequant_bitnet`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.encodings.decoding import Read, check_finite, unlike, weights
from quantize_cli.checkpoints.encodings.floats import SCALE_DTYPES, Floats, decoded
from quantize_cli.errors import CheckpointError, shown

_QUARTERS = 4
_SCALE = "_scale"
_WEIGHTS = np.arange(-1, 3, dtype=np.float32)  # by code


@dataclass(frozen=True, slots=True)
class Quartered:
    """A matrix of four quarters that lie over each other."""

    info: TensorInfo
    codes: TensorInfo  #: U8 [rows / 4, columns]
    scale: TensorInfo  #: one number

    def rows(self, read: Read, start: int, stop: int) -> Floats:
        """Return rows of weights; see `Decoding.rows`."""
        height = self.codes.shape[0]
        rows = np.empty((stop - start, self.info.shape[1]), np.float32)
        for quarter in range(_QUARTERS):
            first, last = max(start, quarter * height), min(stop, (quarter + 1) * height)
            if first < last:
                codes = read(self.codes.name, first - quarter * height, last - quarter * height)
                rows[first - start : last - start] = np.take(_WEIGHTS, codes >> 2 * quarter & 3)
        scale = decoded(read(self.scale.name, 0, 1), self.scale.dtype).reshape(-1)
        check_finite(scale, self.scale)
        if not scale.all():
            raise CheckpointError(
                f"{shown(self.scale.name)} of {self.scale.file} is 0, but codes are divided by it; download that file "
                "again."
            )
        rows /= scale
        return rows


def quartered_tensors(infos: Mapping[str, TensorInfo]) -> tuple[Quartered, ...]:
    """Find all matrices of codes that have a scale.

    Raises:
        CheckpointError: A scale is not one number, or the codes are not a matrix of bytes.
    """
    found = []
    for scale in infos.values():
        codes = infos.get(scale.name.removesuffix(_SCALE))
        if codes is None or not scale.name.endswith(".weight" + _SCALE):
            continue
        if codes.dtype != "U8" or len(codes.shape) != 2:
            raise unlike(codes, scale, "U8 of two dimensions")
        if scale.dtype not in SCALE_DTYPES or scale.elements != 1:
            raise unlike(scale, codes, f"one number, {', '.join(SCALE_DTYPES[:-1])} or {SCALE_DTYPES[-1]}")
        height, width = codes.shape
        found.append(Quartered(weights(codes.name, (height * _QUARTERS, width), codes, scale), codes, scale))
    return tuple(found)
