"""Checkpoints in memory and planned tensors: what is needed to run a part of a plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.planning.model import Plan, PlannedFile, PlannedTensor

#: Bits of 16-bit values stand for themselves: as BF16, all of these numbers are different and finite.
DTYPES = {"uint16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64"}


class Arrays:
    """A checkpoint of arrays that remembers what was read."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = dict(arrays)
        self.reads: list[tuple[str, int, int]] = []
        self.infos = {
            name: TensorInfo(name, DTYPES[array.dtype.name], array.shape, array.nbytes, "memory")
            for name, array in self.arrays.items()
        }

    folder = Path()
    name = "arrays"
    stream = None

    def read_bytes(self, name: str, start: int, stop: int) -> np.ndarray:
        info = self.infos[name]
        assert 0 <= start < stop <= info.rows
        self.reads.append((name, start, stop))
        return self.arrays[name].reshape(info.rows, -1)[start:stop].copy().view(np.uint8)

    def close(self) -> None:
        pass


def planned_tensor(checkpoint: Arrays, shape: tuple[int, ...], **given: Any) -> PlannedTensor:
    """A tensor made of all of the checkpoint's."""
    sources = tuple(checkpoint.infos)
    values = {
        "name": "tensor",
        "type": "F32",
        "reason": "",
        "offset": 0,
        "sources": sources,
        "source_dtype": checkpoint.infos[sources[0]].dtype,
        "source_bytes": sum(info.nbytes for info in checkpoint.infos.values()),
        "moves": (),
        "maps": (),
        "rounded_to": None,
        "values": None,
        "instead_of": None,
        "importance": None,
        **given,
    }
    nbytes = math.prod(shape[:-1]) * GGML_TYPES[values["type"]].row_bytes(shape[-1])
    return PlannedTensor(shape=shape, nbytes=nbytes, **values)


@pytest.fixture
def plan_of() -> Callable[..., Plan]:
    """(tensor, ...) -> a plan of one file of them."""
    return lambda *tensors: Plan("model", "architecture", "F32", (PlannedFile("", (), tensors),), ())


@pytest.fixture
def arrays() -> Callable[..., Arrays]:
    """(name=array, ...) -> a checkpoint of them."""
    return lambda **held: Arrays(held)


@pytest.fixture
def planned() -> Callable[..., PlannedTensor]:
    return planned_tensor
