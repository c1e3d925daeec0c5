"""Shards of random weights in the safetensors format, written piece by piece: a shard may be larger than memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

#: Name in config.json -> NumPy's dtype and the format's name, in the order in which the format's library writes them.
DTYPES: dict[str, tuple[np.dtype[Any], str]] = {
    "float32": (np.dtype(np.float32), "F32"),
    "bfloat16": (np.dtype(ml_dtypes.bfloat16), "BF16"),
    "float16": (np.dtype(np.float16), "F16"),
}
#: Normal weights drawn once and repeated in every tensor; a prime, so that their rows do not repeat with them.
POOL_WEIGHTS = 4_194_301
_DEVIATION = 0.02


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that is yet to be filled."""

    shape: tuple[int, ...]
    dtype: str  #: a key of DTYPES

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return prod(self.shape) * DTYPES[self.dtype][0].itemsize


class Shards:
    """Fills tensors with the pool's weights, each from another weight on; the same calls give the same bytes."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._normal = _DEVIATION * self._rng.standard_normal(POOL_WEIGHTS, dtype=np.float32)
        self._pools: dict[str, NDArray[np.uint8]] = {}

    def write(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Write the file that safetensors' own `save_file` would write."""
        firsts = {name: int(self._rng.integers(POOL_WEIGHTS)) for name in tensors}
        dtypes = list(DTYPES)
        names = sorted(tensors, key=lambda name: (dtypes.index(tensors[name].dtype), name))
        with path.open("wb") as file:
            file.write(_header({name: tensors[name] for name in names}))
            for name in names:
                pool = self._pool(tensors[name].dtype)
                start, left = firsts[name] * (pool.size // POOL_WEIGHTS), tensors[name].nbytes
                while left:
                    piece = pool[start : start + left]
                    file.write(piece.data)
                    start, left = 0, left - piece.size

    def _pool(self, dtype: str) -> NDArray[np.uint8]:
        if dtype not in self._pools:
            self._pools[dtype] = self._normal.astype(DTYPES[dtype][0]).view(np.uint8)
        return self._pools[dtype]


def _header(tensors: Mapping[str, Tensor]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        entries[name] = {"dtype": DTYPES[tensor.dtype][1], "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
