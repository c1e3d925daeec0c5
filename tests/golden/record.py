"""What a GGUF file holds, as JSON small enough to keep: types, shapes, hashes of the bytes, metadata.

    {"file":    {"size": bytes, "alignment": 32, "sha256": hex},
     "kv":      {key: {"type": "UINT32", "value": 5}
                 or   {"type": "STRING", "sha256": hex, "n": characters}
                 or   {"type": "ARRAY", "item": "STRING", "sha256": hex, "n": items, ["value": [...]]}},
     "tensors": {name: {"type": "Q4_K", "shape": [ne0, ne1, ...], "sha256": hex}}}

Long strings and arrays are the SHA-256 of their JSON in ASCII without spaces. The file is read here and not with gguf's
GGUFReader, which takes ten seconds for a vocabulary of 150,000 tokens, and is what the package itself might use.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

LONG_STRING = 200  # characters; longer ones are hashed
LONG_ARRAY = 64  # items; shorter ones are kept beside their hash, unless their JSON is longer than LONG_JSON
LONG_JSON = 2000

NUMBERS = {
    GGUFValueType.UINT8: "<u1",
    GGUFValueType.INT8: "<i1",
    GGUFValueType.UINT16: "<u2",
    GGUFValueType.INT16: "<i2",
    GGUFValueType.UINT32: "<u4",
    GGUFValueType.INT32: "<i4",
    GGUFValueType.UINT64: "<u8",
    GGUFValueType.INT64: "<i8",
    GGUFValueType.FLOAT32: "<f4",
    GGUFValueType.FLOAT64: "<f8",
    GGUFValueType.BOOL: "?",
}

#: Name, weights of a block, and its bytes, by ggml's number of a type; of the newest not every gguf package knows.
TYPES = {int(kind): (kind.name, *GGML_QUANT_SIZES[kind]) for kind in GGMLQuantizationType} | {42: ("Q2_0", 64, 18)}

Record = dict[str, Any]


class Cursor:
    """Reads a GGUF header from its start."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        self.at += size
        return self.data[self.at - size : self.at]

    def numbers(self, dtype: str, count: int) -> list[Any]:
        """The next `count` numbers."""
        return list(np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype).tolist())

    def number(self, dtype: str) -> Any:
        """The next number."""
        return self.numbers(dtype, 1)[0]

    def string(self) -> str:
        """The next string. llama-quantize may cut a letter in two; its bytes are kept as lone surrogates."""
        return self.take(self.number("<u8")).decode(errors="surrogateescape")

    def items(self, kind: GGUFValueType, count: int) -> list[Any]:
        """The next `count` values of a kind that is no array."""
        if kind == GGUFValueType.STRING:
            return [self.string() for _ in range(count)]
        return self.numbers(NUMBERS[kind], count)


def record(path: Path) -> Record:
    """The record of the GGUF file at `path`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        header = Cursor(data)
        assert header.take(4) == b"GGUF"
        assert header.number("<u4") == 3
        tensor_count, key_count = header.numbers("<u8", 2)
        kv = {header.string(): _value(header) for _ in range(key_count)}
        infos = [_tensor_info(header) for _ in range(tensor_count)]
        alignment = kv.get("general.alignment", {"value": 32})["value"]
        base = -(-header.at // alignment) * alignment
        tensors: dict[str, Record] = {}
        for name, shape, kind, offset in infos:
            type_name, block, block_bytes = TYPES[kind]
            start = base + offset
            weights = data[start : start + prod(shape) // block * block_bytes]
            tensors[name] = {"type": type_name, "shape": shape, "sha256": _sha256(weights)}
        assert len(kv) == key_count
        assert len(tensors) == tensor_count
        return {
            "file": {"size": len(data), "alignment": alignment, "sha256": _sha256(data)},
            "kv": kv,
            "tensors": tensors,
        }


def _tensor_info(header: Cursor) -> tuple[str, list[int], int, int]:
    name = header.string()
    shape = header.numbers("<u8", header.number("<u4"))
    return name, shape, header.number("<u4"), header.number("<u8")


def _sha256(data: bytes | mmap.mmap) -> str:
    return hashlib.sha256(data).hexdigest()


def _value(header: Cursor) -> Record:
    kind = GGUFValueType(header.number("<u4"))
    if kind == GGUFValueType.ARRAY:
        item = GGUFValueType(header.number("<u4"))
        items = header.items(item, header.number("<u8"))
        text = _json(items)
        found: Record = {"type": kind.name, "item": item.name, "sha256": _sha256(text), "n": len(items)}
        is_short = len(items) <= LONG_ARRAY and len(text) <= LONG_JSON
        return {**found, "value": items} if is_short else found
    value = header.items(kind, 1)[0]
    if kind == GGUFValueType.STRING and len(value) > LONG_STRING:
        return {"type": kind.name, "sha256": _sha256(_json(value)), "n": len(value)}
    return {"type": kind.name, "value": value}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def dumps(found: Record) -> str:
    """JSON with one key or tensor a line, so that differences can be read."""
    sections = []
    for name, body in found.items():
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in body.items())
        sections.append(f' "{name}": {{\n{lines}\n }}')
    return "{\n" + ",\n".join(sections) + "\n}\n"
