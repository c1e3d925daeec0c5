"""The pieces of a tokenizer.model, read from its bytes: a protocol buffer, as sentencepiece_model.proto defines it.

The library `sentencepiece` is not needed for that: GGUF files hold nothing but text, score and type of each piece. What
it would do beyond (build tables for encoding) can end a process on a damaged file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from quantize_cli.tokenizers.token_types import TokenType

#: Vocabularies in use end near 300,000 pieces.
_MAX_PIECES = 1 << 20

_VARINT, _BYTES = 0, 2
#: Wire type -> bytes of a value.
_FIXED = {1: 8, 5: 4}
_LONGEST_VARINT = 10
#: (field number << 3) | wire type
_PIECE = 1 << 3 | _BYTES  # in the model
_TEXT, _SCORE, _TYPE = 1 << 3 | _BYTES, 2 << 3 | 5, 3 << 3 | _VARINT  # in a piece

_float32 = struct.Struct("<f").unpack_from

#: The file's numbers of types; user-defined pieces count as normal ones, as in the reference.
_TYPES = {
    1: TokenType.NORMAL,
    2: TokenType.UNKNOWN,
    3: TokenType.CONTROL,
    4: TokenType.NORMAL,
    5: TokenType.UNUSED,
    6: TokenType.BYTE,
}


#: The normalizer in the model, and in it the switch that puts a space before a text.
_NORMALIZER = 3 << 3 | _BYTES
_DUMMY_PREFIX = 3 << 3 | _VARINT


class Piece(NamedTuple):
    """A piece of the vocabulary; its place in the file is its token id."""

    text: str
    score: float
    type: TokenType


def read_pieces(content: bytes) -> list[Piece]:
    """Return the pieces of a tokenizer.model.

    Raises:
        ValueError: The content is not such a file, or has too many pieces.
    """
    pieces = []
    for key, value in _fields(content):
        if key == _PIECE:
            pieces.append(_piece(value))
            if len(pieces) > _MAX_PIECES:
                raise ValueError(f"it has more than {_MAX_PIECES:,} pieces")
    if not pieces:
        raise ValueError("it does not have pieces")
    return pieces


def adds_space_prefix(content: bytes) -> bool:
    """Tell whether a tokenizer.model puts a space before a text.

    Raises:
        ValueError: The content is not such a file.
    """
    adds = True
    for key, value in _fields(content):
        if key == _NORMALIZER:
            for inner, switch in _fields(value):
                adds = bool(switch) if inner == _DUMMY_PREFIX else adds
    return adds


def _piece(content: bytes) -> Piece:
    if len(content) > 6 and content[0] == _TEXT and content[1] == len(content) - 7 < 0x80 and content[-5] == _SCORE:
        # nearly all pieces have a short text and a score alone
        return Piece(content[2:-5].decode("utf-8"), _float32(content, len(content) - 4)[0], TokenType.NORMAL)
    text, score, type_ = b"", 0.0, TokenType.NORMAL
    for key, value in _fields(content):
        if key == _TEXT:
            text = value
        elif key == _SCORE:
            (score,) = _float32(value)
        elif key == _TYPE:
            type_ = _TYPES.get(value, type_)
    return Piece(text.decode("utf-8"), score, type_)


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number with wire type, and value, of each field of a message."""
    position, end = 0, len(content)
    while position < end:
        key = content[position]
        if key < 0x80:  # most numbers have one byte, and a vocabulary has a million of them
            position += 1
        else:
            key, position = _varint(content, position)
        kind = key & 7
        if kind in _FIXED:
            size = _FIXED[kind]
        elif kind in (_VARINT, _BYTES):
            if position < end and content[position] < 0x80:
                size = content[position]
                position += 1
            else:
                size, position = _varint(content, position)
            if kind == _VARINT:
                yield key, size
                continue
        else:
            raise ValueError(f"it has a field of the unknown kind {kind} before byte {position}")
        if size > end - position:
            raise ValueError(f"it ends within a field that starts at byte {position}")
        yield key, content[position : position + size]
        position += size


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return the number of variable length at `position`, and the position behind it."""
    value = 0
    for i, byte in enumerate(content[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, position + i + 1
    raise ValueError(f"it does not have a number at byte {position}")
