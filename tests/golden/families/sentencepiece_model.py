"""tokenizer.model of a small SentencePiece BPE, built by hand: a ModelProto of sentencepiece_model.proto."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping

from golden.families.pieces import BYTE_TOKENS, LETTERS, merges

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # ModelProto.SentencePiece.Type
BPE = 2  # TrainerSpec.ModelType

#: Roles of the special tokens in TrainerSpec: names, field of the id, field of the spelling.
ROLES = (
    (("<unk>",), 40, 45),
    (("<s>", "<bos>"), 41, 46),
    (("</s>", "<eos>"), 42, 47),
    (("<pad>",), 43, 48),
)


def pieces(specials: Mapping[str, int]) -> dict[str, int]:
    """Return the pieces in the order of their ids, with their types: `specials`, bytes, merged pieces, letters."""
    merged = ("".join(pair) for pair in merges("▁"))
    return {**specials, **dict.fromkeys(BYTE_TOKENS, BYTE), **dict.fromkeys((*merged, *LETTERS), NORMAL)}


def sentencepiece(specials: Mapping[str, int], dummy_prefix: bool) -> bytes:
    """Return the model; with `dummy_prefix` a text is tokenized as if a space came before it."""
    return model_of(pieces(specials), dummy_prefix)


def model_of(kinds: Mapping[str, int], dummy_prefix: bool) -> bytes:
    """Return the model of these pieces and their types; what merges make is in the order of the merges."""
    model, rank = b"", 0
    for piece, kind in kinds.items():
        model += _message(1, _text(1, piece), _float(2, -rank), _number(3, kind))
        rank += kind == NORMAL
    trainer = [_number(3, BPE), _number(4, len(kinds)), _number(35, True)]
    for names, id_field, text_field in ROLES:
        name = next((name for name in names if name in kinds), None)
        trainer.append(_number(id_field, -1 if name is None else list(kinds).index(name)))
        trainer.append(_text(text_field, name or names[0]))
    normalizer = [_text(1, "identity"), _number(3, dummy_prefix), _number(4, False), _number(5, True)]
    return model + _message(2, *trainer) + _message(3, *normalizer)


def _varint(value: int) -> bytes:
    value %= 1 << 64
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _text(field: int, value: str) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value.encode())) + value.encode()


def _message(field: int, *fields: bytes) -> bytes:
    content = b"".join(fields)
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def with_pieces(model: bytes, kept: Collection[str]) -> bytes:
    """Return a model with those of its pieces that are kept; all else stays."""
    return b"".join(whole for field, whole, piece in _fields(model) if field != 1 or piece in kept)


def _fields(model: bytes) -> Iterator[tuple[int, bytes, str]]:
    """Yield each field of a ModelProto, all of which are messages: its number, its bytes, and the text of a piece."""
    at = 0
    while at < len(model):
        tag, start = _read_varint(model, at)
        length, start = _read_varint(model, start)
        content = model[start : start + length]
        size, text = _read_varint(content, 1)  # a piece begins with its text
        yield tag >> 3, model[at : start + length], content[text : text + size].decode(errors="replace")
        at = start + length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
