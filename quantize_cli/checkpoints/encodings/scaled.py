"""Codes of 8 bits times scales that blocks of weights share: FP8 and INT8, by tensor, by row or by block.

The reference decodes codes and scales to float32 and multiplies them (conversion/base.py, `dequant_simple`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.encodings.decoding import Read, check_finite, lacking, unlike, weights
from quantize_cli.checkpoints.encodings.floats import SCALE_DTYPES, Floats, decoded

#: dtypes that codes of weights can have.
CODE_DTYPES = ("F8_E4M3", "F8_E5M2", "I8")


@dataclass(frozen=True, slots=True)
class Scaled:
    """A matrix of codes, or a stack of them, times scales."""

    info: TensorInfo
    codes: TensorInfo
    scales: TensorInfo
    blocks: tuple[int, ...]  #: the number of weights along each axis that share a scale

    def rows(self, read: Read, start: int, stop: int) -> Floats:
        """Return rows of weights; see `Decoding.rows`."""
        rows = decoded(read(self.codes.name, start, stop), self.codes.dtype)
        if not rows.size:
            return rows
        scales, width = self._scales(read, start, stop), self.blocks[-1]
        if rows.shape[1] % width == 0:
            blocks = rows.reshape(len(rows), -1, width)
            blocks *= scales[:, :, np.newaxis]
        else:
            rows *= np.repeat(scales, width, axis=1)[:, : rows.shape[1]]
        return rows

    def _scales(self, read: Read, start: int, stop: int) -> Floats:
        """Return the scales of rows, float32[stop - start, blocks of a row]."""
        *leading, across = _grid(self.codes.shape, self.blocks)
        places = np.unravel_index(np.arange(start, stop), self.codes.shape[:-1])
        blocks = [place // block for place, block in zip(places, self.blocks, strict=False)]
        wanted = np.ravel_multi_index(blocks, leading)
        first, last = int(wanted.min()), int(wanted.max()) + 1
        # Scales of fewer axes than the codes lie in rows of their own, a vector in one.
        length = self.scales.shape[-1] if self.scales.shape else 1
        begin, end = first * across // length, -(-last * across // length)
        scales = decoded(read(self.scales.name, begin, end), self.scales.dtype).reshape(-1)
        scales = scales[first * across - begin * length :][: (last - first) * across]
        check_finite(scales, self.scales)
        return scales.reshape(-1, across)[wanted - first]


def scaled_tensors(
    infos: Mapping[str, TensorInfo], suffixes: tuple[str, ...], block: tuple[int, int] | None
) -> tuple[Scaled, ...]:
    """Find all codes and their scales.

    Args:
        infos: The tensors by name.
        suffixes: What a name of scales has behind the name of the codes.
        block: Rows and columns of a block, or None where the shape of scales tells who shares them.

    Raises:
        CheckpointError: Scales are missing while other codes have them, or do not fit their codes.
    """
    coded = [info for info in infos.values() if info.dtype in CODE_DTYPES and len(info.shape) > 1]
    found = {
        info.name: infos[info.name + suffix] for info in coded for suffix in suffixes if info.name + suffix in infos
    }
    if not found:
        return ()
    usual = next(suffix for suffix in suffixes if any(scales.name.endswith(suffix) for scales in found.values()))
    for info in coded:
        if info.name not in found:
            raise lacking(info.name + usual, "their scales", info)
    return tuple(_scaled(info, found[info.name], block) for info in coded)


def _scaled(codes: TensorInfo, scales: TensorInfo, block: tuple[int, int] | None) -> Scaled:
    shape = codes.shape
    if block is None:
        held = (*scales.shape, *(1,) * (len(shape) - len(scales.shape)))
        blocks = tuple(max(size, 1) if count == 1 else 1 for size, count in zip(shape, held, strict=False))
        wanted = f"one number or of shape {[*shape[:-1], 1]}"
    else:
        held, blocks = scales.shape, (*(1,) * (len(shape) - 2), *block)
        wanted = f"of shape {list(_grid(shape, blocks))}, one number for each block of {block[0]} x {block[1]} weights"
    if scales.dtype not in SCALE_DTYPES or held != _grid(shape, blocks):
        raise unlike(scales, codes, f"{', '.join(SCALE_DTYPES[:-1])} or {SCALE_DTYPES[-1]}, {wanted}")
    return Scaled(weights(codes.name, shape, codes, scales), codes, scales, blocks)


def _grid(shape: tuple[int, ...], blocks: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of blocks along each axis."""
    return tuple(-(-size // block) for size, block in zip(shape, blocks, strict=True))
