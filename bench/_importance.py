"""A random importance matrix for a model, as llama-imatrix would write it, and for a program that cannot read that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFWriter

DATASET = "random"
CHUNKS = 1


def write_importance(model: Path, folder: Path) -> None:
    """Write imatrix.gguf, and imatrix.npz with the same numbers, for every matrix of the GGUF file `model`."""
    rng = np.random.default_rng(0)
    names = sorted(tensor.name for tensor in GGUFReader(model).tensors if len(tensor.shape) > 1)
    columns = {tensor.name: int(tensor.shape[0]) for tensor in GGUFReader(model).tensors}
    entries: dict[str, Any] = {name: rng.standard_normal(columns[name], dtype=np.float32) ** 2 for name in names}
    writer = GGUFWriter(folder / "imatrix.gguf", arch="imatrix")
    writer.kv_data[0].clear()
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [DATASET])
    writer.add_uint32("imatrix.chunk_count", CHUNKS)
    writer.add_uint32("imatrix.chunk_size", 512)
    for name, importance in entries.items():
        writer.add_tensor(f"{name}.in_sum2", importance.reshape(1, -1))
        writer.add_tensor(f"{name}.counts", np.ones((1, 1), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    np.savez(folder / "imatrix.npz", **entries)
