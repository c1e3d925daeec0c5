"""Checkpoints that are headers only: nothing here may depend on a weight."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantize_cli.checkpoints.base import Checkpoint, TensorInfo
from quantize_cli.checkpoints.encodings.mxfp4 import unpacked
from quantize_cli.checkpoints.safetensors_header import DTYPE_BITS
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.tokenizers.vocabulary import VocabularyFields


@dataclass(frozen=True)
class Headers:
    """A checkpoint whose weights cannot be read."""

    folder: Path
    name: str
    infos: dict[str, TensorInfo]

    @property
    def location(self) -> str:
        return str(self.folder)

    @property
    def sidecars(self) -> FolderSidecars:
        return FolderSidecars(self.folder)

    def read_bytes(self, name: str, start: int, stop: int) -> Any:
        raise AssertionError("a description must not read weights")

    def read_small(self, name: str) -> Any:
        return np.zeros(self.infos[name].nbytes, np.uint8)

    def close(self) -> None:
        pass


MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """(name, files, tensors) of a golden record -> a checkpoint in a fresh folder of that name."""

    def make(name: str, files: dict[str, Any], tensors: dict[str, Any], **_rest: Any) -> Checkpoint:
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        infos = {
            tensor: TensorInfo(tensor, dtype, tuple(shape), math.prod(shape) * DTYPE_BITS[dtype] // 8, file)
            for tensor, (dtype, shape, file) in tensors.items()
        }
        return unpacked(Headers(folder, name, infos))

    return make


@pytest.fixture(autouse=True)
def _no_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer has tests of its own."""
    nothing = VocabularyFields(fields=(), notes=())
    monkeypatch.setattr("quantize_cli.architectures.describe.read_vocabulary", lambda *_, **__: nothing)
