"""What a calibration keeps on the disk while it works, so that a stopped one goes on at its block."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Values by name, as `numpy.savez` takes them.
Values = Mapping[str, NDArray[Any]]


class Work:
    """A folder beside the output, hidden, with what is done: states of tensors, and figures of blocks.

    Args:
        output: The calibration file.
        key: What decides the figures: model, texts, options. What another key has left is given up.
    """

    def __init__(self, output: Path, key: Mapping[str, object]) -> None:
        self.folder = output.parent / f".{output.name}.unfinished"
        told = self.folder / "key.json"
        wanted = json.dumps(key, sort_keys=True)
        if not told.is_file() or told.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            told.write_text(wanted, encoding="utf-8")

    def states(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a tensor that lies in a file; a new one has zeros."""
        path = self.folder / f"{name}.states"
        return torch.from_file(str(path), shared=True, size=math.prod(shape), dtype=dtype).reshape(shape)

    def forget(self, name: str) -> None:
        """Remove states, if they are there."""
        (self.folder / f"{name}.states").unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Tell whether figures are there."""
        return (self.folder / f"{name}.npz").is_file()

    def keep(self, name: str, values: Values) -> None:
        """Write figures; once `has` tells that they are there, they are whole."""
        begun = self.folder / f"{name}.part.npz"
        np.savez(begun, **values)  # type: ignore[arg-type]
        begun.rename(self.folder / f"{name}.npz")

    def kept(self, name: str) -> dict[str, NDArray[Any]]:
        """Read figures."""
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as held:
            return {key: held[key] for key in held.files}

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
