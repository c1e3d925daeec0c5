"""Hidden states and gradients of all sequences, in a file.

They are read and written, not mapped into memory, where they would lie beside the block that is worked on.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from torch import Tensor


class States:
    """A tensor [sequences, context, width] in a file; a new one has zeros.

    Raises:
        OSError: The file cannot be made, or the disk is full.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self._path, self._shape, self._dtype = path, shape, dtype
        self._bytes = math.prod(shape[1:]) * dtype.itemsize
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(descriptor, 0, max(1, len(self) * self._bytes))
            else:
                os.truncate(descriptor, len(self) * self._bytes)
        finally:
            os.close(descriptor)

    def __len__(self) -> int:
        """Return the number of sequences."""
        return self._shape[0]

    def read(self, start: int, stop: int, device: torch.device) -> Tensor:
        """Return some sequences, [stop - start, context, width], on a device."""
        values = torch.empty((stop - start, *self._shape[1:]), dtype=self._dtype)
        with self._path.open("rb") as file:
            file.seek(start * self._bytes)
            if file.readinto(_bytes_of(values)) != values.nbytes:
                raise OSError(0, "The file became shorter", os.fspath(self._path))
        return values.to(device)

    def write(self, start: int, values: Tensor) -> None:
        """Replace sequences from `start` on, [n, context, width]."""
        with self._path.open("rb+") as file:
            file.seek(start * self._bytes)
            file.write(_bytes_of(values.detach().cpu().to(self._dtype).contiguous()))


def _bytes_of(values: Tensor) -> memoryview:
    return memoryview(values.reshape(-1).view(torch.uint8).numpy())
