"""What a GGUF file holds, as JSON small enough to keep: types, shapes, hashes of the bytes, metadata.

    {"file":    {"size": bytes, "alignment": 32, "sha256": hex},
     "kv":      {key: {"type": "UINT32", "value": 5}
                 or   {"type": "STRING", "sha256": hex, "n": characters}
                 or   {"type": "ARRAY", "item": "STRING", "sha256": hex, "n": items, ["value": [...]]}},
     "tensors": {name: {"type": "Q4_K", "shape": [ne0, ne1, ...], "sha256": hex}}}

Long strings and arrays are the SHA-256 of their JSON in ASCII without spaces.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from gguf import GGUFReader, GGUFValueType, ReaderField

LONG_STRING = 200  # characters; longer ones are hashed
LONG_ARRAY = 64  # items; shorter ones are kept beside their hash, unless their JSON is longer than LONG_JSON
LONG_JSON = 2000

Record = dict[str, Any]


def record(path: Path) -> Record:
    """The record of the GGUF file at `path`."""
    reader = GGUFReader(path)
    return {
        "file": {"size": path.stat().st_size, "alignment": reader.alignment, "sha256": _sha256(reader.data)},
        "kv": {key: _value(field) for key, field in reader.fields.items() if not key.startswith("GGUF.")},
        "tensors": {
            tensor.name: {
                "type": tensor.tensor_type.name,
                "shape": [int(n) for n in tensor.shape],
                "sha256": _sha256(tensor.data),
            }
            for tensor in reader.tensors
        },
    }


def _sha256(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _value(field: ReaderField) -> Record:
    kind = field.types[0]
    value = field.contents()
    found: Record = {"type": kind.name}
    text = json.dumps(value, separators=(",", ":"))
    if kind == GGUFValueType.ARRAY:
        found |= {"item": field.types[-1].name, "sha256": _sha256(text.encode()), "n": len(value)}
        if len(value) <= LONG_ARRAY and len(text) <= LONG_JSON:
            found["value"] = value
    elif kind == GGUFValueType.STRING and len(value) > LONG_STRING:
        found |= {"sha256": _sha256(text.encode()), "n": len(value)}
    else:
        found["value"] = value
    return found


def dumps(found: Record) -> str:
    """JSON with one key or tensor a line, so that differences can be read."""
    sections = []
    for name, body in found.items():
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in body.items())
        sections.append(f' "{name}": {{\n{lines}\n }}')
    return "{\n" + ",\n".join(sections) + "\n}\n"
