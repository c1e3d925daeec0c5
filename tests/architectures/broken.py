"""Golden checkpoints as headers, and ways to break them: functions that change tensors and config.json."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from golden.families.case import Case

Record = dict[str, Any]
#: A function that changes a record.
Break = Callable[[Record], None]

FILE = "model.safetensors"
DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64", "uint8": "U8"}


def headers_of(case: Case) -> Record:
    """Return a golden checkpoint as headers with its small files."""
    layout = case.layout({name: np.empty(tensor.shape, np.int8) for name, tensor in case.tensors.items()})
    own = {name: tensor.dtype for name, tensor in case.tensors.items() if tensor.dtype is not None}
    tensors = {name: [DTYPES[own.get(name, case.dtype)], list(values.shape), FILE] for name, values in layout.items()}
    small = {file: content.decode() for file, content in case.vocabulary.files.items() if file.endswith(".json")}
    return {"name": case.name, "files": {**small, "config.json": dict(case.config)}, "tensors": tensors}


def config(**values: Any) -> Break:
    """Set values of config.json; None removes a key."""

    def change(record: Record) -> None:
        held = record["files"]["config.json"]
        held.update(values)
        for name in [name for name, value in values.items() if value is None]:
            del held[name]

    return change


def add(*names: str, dtype: str = "BF16", shape: tuple[int, ...] = (256,)) -> Break:
    """Add tensors of one dtype and shape."""
    return lambda record: record["tensors"].update({name: [dtype, list(shape), FILE] for name in names})


def remove(pattern: str) -> Break:
    """Remove the tensors whose names have a pattern."""

    def change(record: Record) -> None:
        matching = [name for name in record["tensors"] if re.search(pattern, name)]
        assert matching, pattern
        for name in matching:
            del record["tensors"][name]

    return change


def reshape(pattern: str, shape: Callable[[list[int]], list[int]], dtype: str | None = None) -> Break:
    """Change shapes, and dtypes if one is given, of the tensors whose names have a pattern."""

    def change(record: Record) -> None:
        matching = [name for name in record["tensors"] if re.search(pattern, name)]
        assert matching, pattern
        for name in matching:
            held, old, file = record["tensors"][name]
            record["tensors"][name] = [dtype or held, shape(old), file]

    return change


def rename(pattern: str, template: str) -> Break:
    """Rename tensors as re.sub does."""

    def change(record: Record) -> None:
        renamed = {re.sub(pattern, template, name): tensor for name, tensor in record["tensors"].items()}
        assert renamed != record["tensors"]
        record["tensors"] = renamed

    return change


def files(pattern: str, file: str) -> Break:
    """Place the tensors whose names have a pattern in another file."""

    def change(record: Record) -> None:
        for name, tensor in record["tensors"].items():
            if re.search(pattern, name):
                record["tensors"][name] = [*tensor[:2], file]

    return change
