"""The encoding of metadata in GGUF: numbers, text, and arrays of both."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import Any

from quantize_cli.gguf_file.fields import NUMBERS, Field, ValueType


def as_text(raw: bytes) -> str | bytes:
    """Decode `raw` if it is UTF-8; return other bytes unchanged, so that they can be written again."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def encode_text(text: str | bytes) -> bytes:
    """Encode a string: its length as u64, then its bytes."""
    raw = text.encode() if isinstance(text, str) else text
    return len(raw).to_bytes(8, "little") + raw


def encode_field(field: Field) -> bytes:
    """Encode key, type and value of one field."""
    head = encode_text(field.key) + struct.pack("<I", field.type)
    if field.item_type is None:
        return head + _items((field.value,), field.type)
    return head + struct.pack("<IQ", field.item_type, len(field.value)) + _items(field.value, field.item_type)


def _items(values: Sequence[Any], item_type: ValueType) -> bytes:
    if isinstance(values, array):
        return values.tobytes()
    if item_type is ValueType.STRING:
        return b"".join(map(encode_text, values))
    return struct.pack(f"<{len(values)}{NUMBERS[item_type]}", *values)
