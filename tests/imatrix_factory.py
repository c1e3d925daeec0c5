"""Importance matrices as llama-imatrix writes them, with chosen values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFValueType
from gguf_factory import Fields, write_gguf

CHUNKS = 7
DATASET = "wiki.txt"


def write_imatrix(path: Path, entries: Mapping[str, np.ndarray]) -> Path:
    """Write float32[columns] or, of several experts, float32[experts, columns] for each tensor; returns `path`."""
    tensors: dict[str, np.ndarray] = {}
    for name, importance in entries.items():
        rows = np.atleast_2d(importance).astype(np.float32)
        tensors[f"{name}.in_sum2"] = rows
        tensors[f"{name}.counts"] = np.ones((len(rows), 1), np.float32)
    fields: Fields = {
        "imatrix.datasets": ((DATASET,), GGUFValueType.ARRAY, GGUFValueType.STRING),
        "imatrix.chunk_count": (CHUNKS, GGUFValueType.UINT32),
        "imatrix.chunk_size": (512, GGUFValueType.UINT32),
    }
    write_gguf(path, tensors, fields)
    return path


def squares(columns: int, seed: int = 0) -> np.ndarray:
    """Importances of very different size, as mean squares of activations are, float32[columns]."""
    return np.exp(3 * np.random.default_rng(seed).standard_normal(columns)).astype(np.float32)
