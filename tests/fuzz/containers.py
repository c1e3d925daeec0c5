"""Damages that know where a binary file keeps its counts, lengths, types and offsets: GGUF, .dat, SentencePiece."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from tempfile import NamedTemporaryFile

from gguf import GGUFReader, GGUFValueType
from gguf_factory import array, field, text

from fuzz.mutations import DAMAGES, INTEGERS, Place, damage_bytes, damage_integer

V = GGUFValueType

#: Fields that decide what a file is, with values that no good file has. An earlier field of the key makes way.
FIELDS = {
    "general.architecture": (
        *(
            field("general.architecture", V.STRING, text(name))
            for name in ("", "llama4", "clip", "x" * 200, "\0", "bert")
        ),
        field("general.architecture", V.UINT32, b"\1\0\0\0"),
        array("general.architecture", V.STRING, 1, text("llama")),
    ),
    "general.alignment": tuple(field("general.alignment", V.UINT32, struct.pack("<I", n)) for n in (0, 1, 3, 8, 2**31)),
    "split.count": (
        *(field("split.count", V.UINT16, struct.pack("<H", n)) for n in (0, 1, 2, 65535)),
        *(field("split.count", V.UINT64, struct.pack("<Q", n)) for n in (2**40, 2**64 - 1)),
        field("split.count", V.INT32, struct.pack("<i", -5)),
    ),
    "general.file_type": (field("general.file_type", V.STRING, text("f16")), field("general.file_type", V.BOOL, b"\2")),
    "general.name": (
        field("general.name", V.STRING, text(b"\xff\xfe")),
        field("general.name", V.STRING, text("\x1b[2J" * 1000)),
    ),
    "tokenizer.ggml.tokens": (
        array("tokenizer.ggml.tokens", V.STRING, 0, b""),
        array("tokenizer.ggml.tokens", V.STRING, 3, text("a") * 3),
        array("tokenizer.ggml.tokens", V.ARRAY, 1, struct.pack("<IQ", V.ARRAY, 1) * 1000),
    ),
    "tokenizer.ggml.model": (field("tokenizer.ggml.model", V.STRING, text("none")),),
    "imatrix.chunk_count": (field("imatrix.chunk_count", V.INT64, bytes(8)),),
    "imatrix.datasets": (array("imatrix.datasets", V.STRING, 2, text("\x1b[31m") + text(b"\xff")),),
}


@dataclass(frozen=True)
class Layout:
    """A good GGUF file in pieces."""

    fields: dict[str, bytes]
    lines: tuple[bytes, ...]
    padding: bytes
    data: bytes
    integers: tuple[Place, ...]

    def joined(self, fields: Sequence[bytes], lines: Sequence[bytes]) -> bytes:
        """Return the file with other pieces, and true counts."""
        head = struct.pack("<IIQQ", 0x46554747, 3, len(lines), len(fields))
        return b"".join((head, *fields, *lines)) + self.padding + self.data


@lru_cache
def layout(content: bytes) -> Layout:
    """Take a good GGUF file to pieces."""
    with NamedTemporaryFile(suffix=".gguf") as file:
        file.write(content)
        file.flush()
        reader = GGUFReader(file.name)
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    pieces = [*fields.values(), *(tensor.field for tensor in reader.tensors)]
    starts = [*(piece.offset for piece in pieces)]
    ends = [piece.offset + sum(part.nbytes for part in piece.parts) for piece in pieces]
    spans = [content[start:end] for start, end in zip(starts, ends, strict=True)]
    integers = [(4, 4), (8, 8), (16, 8)]
    for piece in pieces:
        at = piece.offset
        for part in piece.parts:
            if part.dtype.itemsize > 1:
                integers += [(at + i, part.dtype.itemsize) for i in range(0, part.nbytes, part.dtype.itemsize)]
            at += part.nbytes
    return Layout(
        dict(zip(fields, spans, strict=False)),
        tuple(spans[len(fields) :]),
        content[ends[-1] : reader.data_offset],
        content[reader.data_offset :],
        tuple(integers),
    )


def damage_gguf(rng: Random, content: bytes) -> bytes:
    """Damage a good GGUF file: its integers, its fields and tensors as a whole, or bytes of its header."""
    parts = layout(content)
    choice = rng.random()
    if choice < 0.4:
        for _ in range(rng.choice(DAMAGES)):
            content = damage_integer(rng, content, parts.integers)
        return content
    if choice < 0.5:
        end = len(content) - len(parts.data)
        return damage_bytes(rng, content[:end]) + content[end:]
    if choice < 0.55:
        return damage_bytes(rng, content)
    fields, lines = dict(parts.fields), list(parts.lines)
    if choice < 0.7:
        key = rng.choice(list(FIELDS))
        fields[key] = rng.choice(FIELDS[key])
        return parts.joined(list(fields.values()), lines)
    held = list(fields.values())
    for _ in range(rng.choice(DAMAGES)):
        _damage_list(rng, held if choice < 0.9 else lines)
    return parts.joined(held, lines)


def damage_legacy(rng: Random, content: bytes) -> bytes:
    """Damage an importance matrix of the older format; its integers stand at multiples of 4 from each other."""
    if rng.random() < 0.5:
        return damage_bytes(rng, content)
    for _ in range(rng.choice(DAMAGES)):
        content = damage_integer(rng, content, _legacy_integers(content))
    return content


@lru_cache
def _legacy_integers(content: bytes) -> tuple[Place, ...]:
    (count,) = struct.unpack_from("<i", content)
    found, at = [(0, 4)], 4
    for _ in range(max(count, 0)):
        if at + 4 > len(content):
            break
        name_bytes = struct.unpack_from("<i", content, at)[0]
        values_at = at + 4 + max(name_bytes, 0) + 4
        if values_at + 4 > len(content):
            break
        found += [(at, 4), (values_at - 4, 4), (values_at, 4)]
        at = values_at + 4 + 4 * max(struct.unpack_from("<i", content, values_at)[0], 0)
    found += [(end, 4) for end in (at, at + 4) if end + 4 <= len(content)]
    return tuple(found)


def damage_sentencepiece(rng: Random, content: bytes) -> bytes:
    """Damage a tokenizer.model, a message of messages: whole pieces, fields in one, or bytes."""
    if rng.random() < 0.3:
        return damage_bytes(rng, content)
    messages = records(content)
    for _ in range(rng.choice(DAMAGES)):
        if messages and rng.random() < 0.6:
            at = rng.randrange(len(messages)) if rng.random() < 0.5 else -1 - rng.randrange(min(3, len(messages)))
            messages[at] = _damage_message(rng, messages[at])
        else:
            _damage_list(rng, messages)
    return b"".join(messages)


def records(message: bytes) -> list[bytes]:
    """Split a protobuf message into its fields, each with its tag; what does not parse stays together."""
    found, at = [], 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        if tag & 7 == 2:
            size, at = _varint(message, at)
            at += size
        elif tag & 7 == 0:
            _, at = _varint(message, at)
        else:
            at += {1: 8, 5: 4}.get(tag & 7, len(message))
        found.append(message[start:at])
    return found


def _damage_message(rng: Random, record: bytes) -> bytes:
    """Damage one of the fields of a message in a message, whose length stays true."""
    tag, at = _varint(record, 0)
    if tag & 7 != 2:
        return damage_bytes(rng, record)
    _, at = _varint(record, at)
    inner = records(record[at:])
    if inner and rng.random() < 0.7:
        place = rng.randrange(len(inner))
        number, value_at = _varint(inner[place], 0)
        if number & 7 == 0:
            inner[place] = inner[place][:value_at] + encoded(rng.choice(INTEGERS))
        else:
            inner[place] = inner[place][:value_at] + damage_bytes(rng, inner[place][value_at:])
    else:
        _damage_list(rng, inner)
    content = b"".join(inner)
    return encoded(tag) + encoded(len(content)) + content


def _damage_list(rng: Random, pieces: list[bytes]) -> None:
    """Drop, repeat, move or damage one of the pieces."""
    if not pieces:
        return
    at, other = rng.randrange(len(pieces)), rng.randrange(len(pieces))
    choice = rng.randrange(5)
    if choice == 0:
        del pieces[at]
    elif choice == 1:
        pieces.insert(other, pieces[at])
    elif choice == 2:
        pieces[at], pieces[other] = pieces[other], pieces[at]
    elif choice == 3:
        pieces[at] = pieces[other]
    else:
        pieces[at] = damage_bytes(rng, pieces[at])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a protobuf integer; return it and the place after it."""
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            break
    return value, at


def encoded(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
