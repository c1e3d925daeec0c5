"""Sequences that follow those that are measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantize_cli.texts.model import Document, Sequences
from quantize_cli.texts.sequences import behind, sequences
from quantize_cli.tokenizers.encoding import Encoded


@dataclass
class Letters:
    """Each letter is a token."""

    bos: int | None = None

    def encode(self, kinds: Sequence[Sequence[Document]]) -> tuple[Encoded, ...]:
        texts = ["".join(str(document.content) for document in documents) for documents in kinds]
        return tuple(Encoded(np.array([*text.encode()], np.int32), 0) for text in texts)


DOCUMENTS = [Document("long", "long", "aabbccddeeff"), Document("short", "short", "xxyy")]


def cut(tokens: int) -> Sequences:
    return sequences(DOCUMENTS, Letters(), 2, tokens)


def spelled(rows: np.ndarray) -> list[str]:
    return ["".join(map(chr, row)) for row in rows]


def test_each_kind_goes_on_where_it_has_ended():
    fewer, more = cut(4), cut(10)
    assert spelled(fewer.tokens) == ["aa", "xx"]
    found = behind(more, fewer)
    assert spelled(found.tokens) == ["bb", "cc", "yy"]
    assert found.tokens.dtype == np.int32
    assert found.kinds == ("long", "long", "short")
    assert [(held.kind, held.documents, held.tokens) for held in found.records] == [
        ("long", ("long",), 4),
        ("short", ("short",), 2),
    ]
    for record, text in zip(found.records, (b"bbcc", b"yy"), strict=True):
        assert record.sha256 == hashlib.sha256(np.array([*text], "<i4").tobytes()).hexdigest()
    assert sorted(spelled(fewer.tokens) + spelled(found.tokens)) == sorted(spelled(more.tokens))


def test_a_kind_that_has_ended_is_left_out():
    found = behind(cut(16), cut(8))
    assert spelled(found.tokens) == ["cc", "dd", "ee", "ff"]
    assert found.kinds == ("long",) * 4
    assert [record.kind for record in found.records] == ["long"]


def test_a_kind_that_has_not_begun_is_there_from_its_start():
    alone = sequences(DOCUMENTS[:1], Letters(), 2, 8)
    found = behind(cut(16), alone)
    assert spelled(found.tokens) == ["ee", "ff", "xx", "yy"]


def test_nothing_follows_the_whole():
    found = behind(cut(16), cut(16))
    assert found.tokens.shape == (0, 2)
    assert found.tokens.dtype == np.int32
    assert (found.kinds, found.records) == ((), ())
