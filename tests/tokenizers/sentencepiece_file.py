"""Writes a tokenizer.model of any pieces, sound or not: a protocol buffer, by hand."""

from __future__ import annotations

import struct
from pathlib import Path

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def number(value: int) -> bytes:
    """A varint."""
    digits = b""
    while value > 0x7F:
        digits += bytes([value & 0x7F | 0x80])
        value >>= 7
    return digits + bytes([value])


def piece(text: bytes, score: float, type_: int) -> bytes:
    """The field of one piece."""
    content = b"\x0a" + number(len(text)) + text + b"\x15" + struct.pack("<f", score) + b"\x18" + number(type_)
    return b"\x0a" + number(len(content)) + content


def write_model(folder: Path, *pieces: tuple[str, float, int]) -> None:
    """Write a tokenizer.model."""
    content = b"".join(piece(text.encode(), score, type_) for text, score, type_ in pieces)
    (folder / "tokenizer.model").write_bytes(content)
