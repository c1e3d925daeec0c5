"""MXFP4 as gpt-oss stores it: `NAME_blocks` and `NAME_scales`, offered as rows of GGML's MXFP4 under `NAME.weight`.

Both formats have blocks of 32 weights: 4-bit codes, and a power of two as a biased exponent. Only the places of codes
differ, so no bit is lost (conversion/gpt_oss.py of the reference, `repack_mxfp4`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import Checkpoint, Extent, TensorInfo
from quantize_cli.checkpoints.encodings.wrapped import Wrapped
from quantize_cli.errors import CheckpointError, shown

#: Weights of a block, and bytes of their codes; a scale is one byte.
_WEIGHTS, _CODES = 32, 16
_BLOCKS, _SCALES = "_blocks", "_scales"


def unpacked(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose MXFP4 tensors are rows of weights; one without such tensors is returned itself.

    Raises:
        CheckpointError: Codes and scales do not belong together.
    """
    infos = checkpoint.infos
    packed = {name.removesuffix(_BLOCKS): info for name, info in infos.items() if _has_codes(info)}
    if not packed:
        return checkpoint
    for stem, codes in packed.items():
        _check_scales(checkpoint, codes, infos.get(stem + _SCALES))
    return Mxfp4Checkpoint(checkpoint, dict(_joined(infos, packed)))


def _has_codes(info: TensorInfo) -> bool:
    return info.name.endswith(_BLOCKS) and info.dtype == "U8" and len(info.shape) > 2 and info.shape[-1] == _CODES


def _check_scales(checkpoint: Checkpoint, codes: TensorInfo, scales: TensorInfo | None) -> None:
    if scales is None:
        name = codes.name.removesuffix(_BLOCKS) + _SCALES
        raise CheckpointError(
            f"{checkpoint.location} lacks the tensor {shown(name)}, the scales of {shown(codes.name)} in {codes.file}; "
            "download the model again."
        )
    if (scales.dtype, scales.shape) != ("U8", codes.shape[:-1]):
        raise CheckpointError(
            f"{shown(scales.name)} of {scales.file} is {scales.dtype} {list(scales.shape)}, but the scales of "
            f"{shown(codes.name)} must be U8 {list(codes.shape[:-1])}; download the model again."
        )


def _joined(infos: Mapping[str, TensorInfo], packed: Mapping[str, TensorInfo]) -> Iterator[tuple[str, TensorInfo]]:
    """Yield all tensors by name; a pair is in the place of its codes."""
    scales = {stem + _SCALES for stem in packed}
    for name, info in infos.items():
        stem = name.removesuffix(_BLOCKS)
        if stem in packed and name != stem:
            weight = f"{stem}.weight"
            shape = (*info.shape[:-2], info.shape[-2] * _WEIGHTS)
            yield weight, TensorInfo(weight, "MXFP4", shape, info.nbytes // _CODES * (_CODES + 1), info.file)
        elif name not in scales:
            yield name, info


class Mxfp4Checkpoint(Wrapped):
    """A checkpoint whose codes and scales are read as GGML's blocks."""

    def read_bytes(self, name: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Read rows as they are stored, or as GGML's blocks; see `Checkpoint.read_bytes`."""
        info = self.infos[name]
        if info.dtype != "MXFP4":
            return self.inner.read_bytes(name, start, stop)
        stem, blocks = name.removesuffix(".weight"), info.shape[-1] // _WEIGHTS
        codes = self.inner.read_bytes(stem + _BLOCKS, start * blocks, stop * blocks)
        scales = self.inner.read_bytes(stem + _SCALES, start, stop)
        return _as_ggml(codes, scales.reshape(-1)).reshape(stop - start, blocks * (_CODES + 1))

    def needed(self, extent: Extent) -> Iterable[Extent]:
        """Return the rows of codes and scales; see `Checkpoint.needed`."""
        name, start, stop = extent
        info = self.infos[name]
        if info.dtype != "MXFP4":
            yield from self.inner.needed(extent)
        else:
            stem, blocks = name.removesuffix(".weight"), info.shape[-1] // _WEIGHTS
            yield from self.inner.needed(Extent(stem + _BLOCKS, start * blocks, stop * blocks))
            yield from self.inner.needed(Extent(stem + _SCALES, start, stop))

    def read_small(self, name: str) -> NDArray[np.uint8]:
        """Read a small tensor's bytes; see `Checkpoint.read_small`."""
        if self.infos[name].dtype != "MXFP4":
            return self.inner.read_small(name)
        stem = name.removesuffix(".weight")
        codes = self.inner.read_small(stem + _BLOCKS).reshape(-1, _CODES)
        return _as_ggml(codes, self.inner.read_small(stem + _SCALES)).reshape(-1)


def _as_ggml(codes: NDArray[np.uint8], scales: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return blocks, uint8[n, 17], of codes, uint8[n, 16], and scales, uint8[n].

    A byte of `codes` has two neighbours, the first in its lower half. A byte of GGML's has a weight of the block's
    first half in its lower half, and the one 16 places behind it in its upper half.
    """
    blocks = np.empty((len(codes), _CODES + 1), np.uint8)
    first, second = codes[:, : _CODES // 2], codes[:, _CODES // 2 :]
    blocks[:, 0] = scales
    blocks[:, 1::2] = first & 0x0F | second << 4
    blocks[:, 2::2] = first >> 4 | second & 0xF0
    return blocks
