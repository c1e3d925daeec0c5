"""The reader of tokenizer.model against the library `sentencepiece`, on sound files and on damaged ones."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor
from sentencepiece_file import NORMAL, number, piece
from tokenizer_factory import make_sentencepiece

from quantize_cli.tokenizers import sentencepiece_model
from quantize_cli.tokenizers.sentencepiece_model import Piece, read_pieces
from quantize_cli.tokenizers.token_types import TokenType

SHARED = Path(os.environ.get("QUANTIZE_SHARED", Path(__file__).resolve().parents[2] / ".." / "shared"))
REAL = ("llama2-spm/tokenizer.model", "mistral-7b-v0.3/tokenizer.model.v3")


def by_library(content: bytes) -> list[Piece]:
    """The pieces as the library gives them."""
    processor = SentencePieceProcessor()
    processor.LoadFromSerializedProto(content)
    types = {
        TokenType.UNKNOWN: processor.IsUnknown,
        TokenType.CONTROL: processor.IsControl,
        TokenType.UNUSED: processor.IsUnused,
        TokenType.BYTE: processor.IsByte,
        TokenType.NORMAL: lambda _: True,
    }
    return [
        Piece(processor.IdToPiece(i), processor.GetScore(i), next(kind for kind, has in types.items() if has(i)))
        for i in range(processor.vocab_size())
    ]


@pytest.mark.parametrize("name", REAL)
def test_real_files(name: str):
    path = SHARED / "tokenizers" / name
    if not path.is_file():
        pytest.skip("needs the folder shared/ beside the project")
    content = path.read_bytes()
    assert read_pieces(content) == by_library(content)


def test_a_trained_file(tmp_path: Path):
    make_sentencepiece(tmp_path)
    content = (tmp_path / "tokenizer.model").read_bytes()
    pieces = read_pieces(content)
    assert len(pieces) == 300
    assert pieces == by_library(content)


@pytest.mark.slow
def test_damaged_files(tmp_path: Path):
    """Whatever both read, they read alike; and this reader raises nothing but ValueError."""
    make_sentencepiece(tmp_path)
    content = (tmp_path / "tokenizer.model").read_bytes()
    chance = random.Random(0)
    both = 0
    for _ in range(1000):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 1, 2, 5))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged)) :]
        try:
            pieces = read_pieces(bytes(damaged))
        except ValueError:
            continue
        try:
            theirs = by_library(bytes(damaged))
        except (OSError, RuntimeError, ValueError):
            continue
        assert repr(pieces) == repr(theirs)  # NaN equals itself as text
        both += 1
    assert both > 250


LONG = "x" * 300


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        (piece(b"a", 1.5, NORMAL), [("a", 1.5, TokenType.NORMAL)]),
        (piece(LONG.encode(), 1.5, 99), [(LONG, 1.5, TokenType.NORMAL)]),
        (b"\x0a\x00", [("", 0.0, TokenType.NORMAL)]),
        (b"\x0a\x06\x0a\x01a\x0a\x01b", [("b", 0.0, TokenType.NORMAL)]),  # the last value of a field counts
        (b"\x0a\x05\x15" + struct.pack("<f", 2.0), [("", 2.0, TokenType.NORMAL)]),
        (b"\x0a\x03\x0a\x01a\x12\x01x\x1a\x00\x28\x07\x31" + bytes(8), [("a", 0.0, TokenType.NORMAL)]),
    ],
)
def test_any_spelling(content: bytes, pieces: list[tuple[str, float, TokenType]]):
    assert read_pieces(content) == pieces


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x12\x00",  # settings without pieces
        b"\x0a",
        b"\x0a\x05ab",
        b"\x0a\x03\x0a\x05a",
        b"\x0a\x03\x0a\x01\xff",  # not UTF-8
        b"\x0a\x02\x15\x00",
        b"\x0b\x0c",  # groups
        b"\xff" * 20,
        b"\x0a" + b"\xff" * 9 + b"\x01",
        b"\x0a" + number(1 << 40),
    ],
)
def test_what_is_not_a_model(content: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - UnicodeDecodeError is one
        read_pieces(content)


def test_more_pieces_than_any_model_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sentencepiece_model, "_MAX_PIECES", 2)
    assert len(read_pieces(b"\x0a\x00" * 2)) == 2
    with pytest.raises(ValueError, match="more than 2 pieces"):
        read_pieces(b"\x0a\x00" * 3)
