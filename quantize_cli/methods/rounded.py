"""Blocks that a method has chosen, in files of a folder, one for each tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.outputs.refusals import writing
from quantize_cli.planning.model import PlannedTensor

Packed = NDArray[np.uint8]


class Rounded:
    """The blocks of some tensors, uint8[rows, row bytes] each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Tell whether the blocks of a tensor are here; if not, the reference's own search makes them."""
        return self._path(name).is_file()

    @contextmanager
    def writing(self, name: str) -> Iterator[Callable[[Packed], None]]:
        """Keep the blocks of a tensor, once all are written: give what writes rows, one call behind the other.

        Raises:
            OutputError: The disk is full, for example.
        """
        begun = self._folder / f"{name}.blocks.part"
        with writing(self._path(name)):
            with begun.open("wb") as file:

                def write(packed: Packed) -> None:
                    file.write(packed.tobytes())

                yield write
            begun.rename(self._path(name))

    def remove(self, name: str) -> None:
        """Give up the blocks of a tensor."""
        self._path(name).unlink(missing_ok=True)

    def read(self, tensor: PlannedTensor, start: int, stop: int) -> Packed:
        """Return some rows of a tensor."""
        width = BLOCK_TYPES[tensor.type].row_bytes(tensor.columns)
        with self._path(tensor.name).open("rb") as file:
            file.seek(start * width)
            content = file.read((stop - start) * width)
        return np.frombuffer(content, np.uint8).reshape(stop - start, width).copy()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.blocks"
