"""GGUF files written from the format's description, so that they can lie, and good ones by the `gguf` package."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter

from quantize_cli.gguf_file.reader import GgufHeader, parse_header

V = GGUFValueType

#: An architecture whose tensors are not looked at: a few are enough for a model.
ANY = "mpt"

#: Key -> value, its type, and that of an array's items.
Fields = Mapping[str, tuple[Any, GGUFValueType] | tuple[Any, GGUFValueType, GGUFValueType]]
#: Name -> values, or the packed rows of a block type and that type.
Tensors = Mapping[str, np.ndarray | tuple[np.ndarray, GGMLQuantizationType]]


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def field(key: str | bytes, value_type: int, value: bytes) -> bytes:
    """One field; `value` is encoded already."""
    return text(key) + struct.pack("<I", value_type) + value


def array(key: str | bytes, item_type: int, count: int, items: bytes) -> bytes:
    return field(key, V.ARRAY, struct.pack("<IQ", item_type, count) + items)


def line(name: str | bytes, sizes: Sequence[int], tensor_type: int = 0, offset: int = 0) -> bytes:
    """One line of the table of tensors; `sizes` innermost first, as they stand in the file."""
    layout = f"<I{len(sizes)}QIQ"
    return text(name) + struct.pack(layout, len(sizes), *sizes, tensor_type, offset)


def file(
    fields: Sequence[bytes] = (),
    lines: Sequence[bytes] = (),
    data: bytes = b"",
    *,
    start: bytes = b"GGUF\x03\0\0\0",
    counts: tuple[int, int] | None = None,
    alignment: int = 32,
) -> bytes:
    """A whole file; `counts` (tensors, fields) are true where they are not given."""
    head = start + struct.pack("<QQ", *(counts or (len(lines), len(fields)))) + b"".join((*fields, *lines))
    padding = -len(head) % alignment if lines else 0
    return head + bytes(padding) + data


def hyperparameters(architecture: str = ANY, **values: int | float) -> dict[str, Any]:
    """What llama.cpp demands of a small model's fields; `values` have "__" for the dots of their keys."""
    usual = {
        "block_count": 1,
        "context_length": 128,
        "embedding_length": 256,
        "attention.head_count": 4,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    held = usual | {key.replace("__", "."): value for key, value in values.items()}
    kinds = {int: V.UINT32, float: V.FLOAT32}
    fields = {f"{architecture}.{key}": (value, kinds[type(value)]) for key, value in held.items()}
    return fields | {"tokenizer.ggml.model": ("none", V.STRING)}


def write_gguf(
    path: Path,
    tensors: Tensors,
    fields: Fields,
    architecture: str = ANY,
) -> None:
    """A GGUF file by the `gguf` package; a tensor of a block type is given as its packed rows and that type."""
    writer = GGUFWriter(path, architecture)
    for key, value in fields.items():
        writer.add_key_value(key, *value)
    for name, tensor in tensors.items():
        array, raw_type = tensor if isinstance(tensor, tuple) else (tensor, None)
        writer.add_tensor(name, array, raw_dtype=raw_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_header(path: Path) -> GgufHeader:
    """The header of a file, by our own reader."""
    with path.open("rb") as opened:
        return parse_header(opened, path.stat().st_size, path)
