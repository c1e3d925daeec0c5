"""Importance matrices as GGUF files.

Each tensor NAME has two tensors of float32: NAME.in_sum2 [experts, columns], the sums of its squared inputs, and
NAME.counts [experts, 1], the numbers of summands. The reference is common/imatrix-loader.cpp, and for the means
tools/quantize/quantize.cpp (`load_imatrix`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.reading import OpenFile
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.reader import GgufTensor, parse_header
from quantize_cli.importance.matrix import ImportanceMatrix

DATASETS, CHUNK_COUNT, CHUNK_SIZE = "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"
_SUMS, _COUNTS = ".in_sum2", ".counts"


def read_gguf(opened: OpenFile, path: Path, file: str) -> ImportanceMatrix:
    """Read the importance matrix at `path`, which is open and which the user called `file`; its values are not checked.

    Raises:
        CheckpointError: The file is damaged or is not an importance matrix.
        UnsupportedError: It is a GGUF file of a version or byte order that llama.cpp does not read.
        OSError: It cannot be read.
    """
    header = parse_header(opened.stream(), opened.size, path)
    fields = {field.key: field for field in header.fields}
    chunks = _chunks(fields, path)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    names = [name.removesuffix(suffix) for name in tensors for suffix in (_SUMS, _COUNTS) if name.endswith(suffix)]
    entries = {}
    for name in sorted(set(names)):
        sums, counts = (_values(tensors, name + suffix, opened, path) for suffix in (_SUMS, _COUNTS))
        if sums.size % counts.size:
            raise _damaged(path, f"{shown(name)} has {sums.size} sums, not a multiple of its {counts.size} counts")
        if not np.isfinite(counts).all():
            raise _damaged(path, f"a count of {shown(name)} is {counts[~np.isfinite(counts)][0]}")
        entries[name] = _means(sums.reshape(counts.size, -1), counts[:, np.newaxis])
    return ImportanceMatrix(entries, file, _datasets(fields[DATASETS]), chunks)


def _means(sums: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide sums [experts, columns] by counts [experts, 1]; the result is 1 where nothing was counted."""
    counts = np.floor(counts.astype(np.float64) + 0.5).astype(np.float32)  # lround, for those above 0
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses values that are not finite
        return np.divide(sums, counts, out=np.ones_like(sums), where=counts > 0)


def _chunks(fields: Mapping[str, Field], path: Path) -> int:
    missing = [key for key in (DATASETS, CHUNK_COUNT, CHUNK_SIZE) if key not in fields]
    if missing:
        raise CheckpointError(f"{path} lacks {missing[0]}, so it is not an importance matrix; check the path.")
    count = fields[CHUNK_COUNT]
    if count.type is not ValueType.UINT32:
        raise _damaged(path, f"{CHUNK_COUNT} is {count.type.name} instead of UINT32")
    return int(np.int32(np.uint32(count.value)))  # the reference keeps it in 32 bits with a sign


def _datasets(field: Field) -> tuple[str, ...]:
    if field.item_type is not ValueType.STRING:
        return ()
    return tuple(item if isinstance(item, str) else item.decode("utf-8", "surrogateescape") for item in field.value)


def _values(tensors: Mapping[str, GgufTensor], name: str, opened: OpenFile, path: Path) -> NDArray[np.float32]:
    """Read all values of one tensor into one row."""
    tensor = tensors.get(name)
    if tensor is None:
        raise _damaged(path, f"{shown(name)} is missing")
    if tensor.type.name != "F32":
        raise _damaged(path, f"{shown(name)} is {tensor.type.name} instead of F32")
    content = opened.read(tensor.offset, tensor.offset + tensor.nbytes)
    if len(content) != tensor.nbytes:
        raise _damaged(path, f"it became shorter while {shown(name)} was read")
    return np.frombuffer(content, "<f4")


def _damaged(path: Path, trouble: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged: {trouble}; compute or download the importance matrix again.")
