"""How GGUF packs metadata: numbers, text, and arrays of either."""

from __future__ import annotations

import struct
from typing import Any

from gguf import GGUFValueType

from quantize_cli.gguf_file.fields import Field

#: `struct`'s letter for every type of fixed size.
NUMBERS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
}


def as_text(raw: bytes) -> str | bytes:
    """`raw` as text where it is UTF-8; other bytes stay what they are, so that they can be written again."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def encode_text(text: str | bytes) -> bytes:
    """A string as GGUF writes it: its length as u64, then its bytes."""
    raw = text.encode() if isinstance(text, str) else text
    return len(raw).to_bytes(8, "little") + raw


def encode_field(field: Field) -> bytes:
    """Key, type and value of one field. An array whose `item_type` is None has that of its first item."""
    head = encode_text(field.key) + struct.pack("<I", field.type)
    if field.type is not GGUFValueType.ARRAY:
        return head + _items((field.value,), field.type)
    item_type = field.item_type if field.item_type is not None else GGUFValueType.get_type(field.value[0])
    return head + struct.pack("<IQ", item_type, len(field.value)) + _items(field.value, item_type)


def _items(values: tuple[Any, ...], item_type: GGUFValueType) -> bytes:
    if item_type is GGUFValueType.STRING:
        return b"".join(map(encode_text, values))
    return struct.pack(f"<{len(values)}{NUMBERS[item_type]}", *values)
