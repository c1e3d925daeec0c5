"""Sequences of tokens, with an encoder whose tokens are letters; and the overlap of texts."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.texts.model import Document, Turn
from quantize_cli.texts.overlap import overlap
from quantize_cli.texts.sequences import sequences
from quantize_cli.tokenizers.encoding import Encoded

BOS = 7


@dataclass
class Letters:
    """Each letter is a token; "?" is unknown."""

    bos: int | None = None

    def encode(self, kinds: Sequence[Sequence[Document]]) -> tuple[Encoded, ...]:
        texts = ["".join(str(document.content) for document in documents) for documents in kinds]
        return tuple(Encoded(np.array([ord(x) for x in text], np.int32), text.count("?")) for text in texts)


def doc(kind: str, content: str, name: str = "one") -> Document:
    return Document(f"{kind}/{name}", kind, content)


def spelled(rows: np.ndarray) -> list[str]:
    return ["".join(map(chr, row)) for row in rows]


def test_a_text_is_cut_and_the_rest_is_left_out():
    found = sequences([doc("a", "abcdefgh")], Letters(), 3)
    assert spelled(found.tokens) == ["abc", "def"]
    assert found.tokens.dtype == np.int32
    (record,) = found.records
    assert (record.kind, record.documents, record.tokens) == ("a", ("a/one",), 6)
    assert record.sha256 == hashlib.sha256(np.array([*b"abcdef"], "<i4").tobytes()).hexdigest()


def test_bos_begins_the_stream_and_takes_the_first_place_of_each_sequence():
    found = sequences([doc("a", "abcdefgh")], Letters(BOS), 3)
    assert found.tokens.tolist() == [[BOS, *b"ab"], [BOS, *b"de"], [BOS, *b"gh"]]


def test_a_stream_that_begins_with_bos_does_not_get_another():
    found = sequences([doc("a", f"{chr(BOS)}abcdefg")], Letters(BOS), 3)
    assert found.tokens.tolist() == [[BOS, *b"ab"], [BOS, *b"de"]]


def test_of_one_text_the_first_sequences_are_taken_and_of_several_they_are_spread():
    text = "aabbccddeeff"
    assert spelled(sequences([doc("a", text)], Letters(), 2, 6).tokens) == ["aa", "bb", "cc"]
    halves = [doc("a", text[:6]), doc("a", text[6:], "two")]
    found = sequences(halves, Letters(), 2, 6)
    assert spelled(found.tokens) == ["aa", "cc", "ee"]
    assert found.records[0].documents == ("a/one", "a/two")


def test_kinds_get_equal_shares_as_far_as_their_texts_reach():
    documents = [doc("long", "x" * 40), doc("short", "y" * 4), doc("more", "z" * 40)]
    found = sequences(documents, Letters(), 2, 20)
    assert [(r.kind, r.tokens) for r in found.records] == [("long", 8), ("short", 4), ("more", 8)]
    assert found.kinds == ("long",) * 4 + ("short",) * 2 + ("more",) * 4
    assert len(sequences(documents, Letters(), 2).tokens) == 42
    assert len(sequences(documents, Letters(), 2, 10_000).tokens) == 42


@pytest.mark.parametrize(
    ("documents", "context", "tokens", "match"),
    [
        ([doc("a", "x" * 9)], 5, None, "text 'a' has 9 tokens, but 2 sequences of 5 need 10; give a longer text"),
        ([doc("a", "x" * 99), doc("b", "y" * 4)], 5, None, "text 'b' has 4 tokens, but 1 sequence of 5 needs 5"),
        ([doc("a", "x" * 98 + "??")], 5, None, r"does not know 2\.0% of the tokens of the text 'a'"),
    ],
)
def test_texts_that_do_not_do_are_refused(documents, context, tokens, match):
    with pytest.raises(CheckpointError, match=match):
        sequences(documents, Letters(), context, tokens)


@pytest.mark.parametrize(
    ("context", "tokens", "match"),
    [
        (1, None, "does not predict anything"),
        (5, 9, "9 tokens are 1 sequence of 5, but 3 are needed; ask for at least 15 tokens"),
    ],
)
def test_too_few_tokens_are_refused(context, tokens, match):
    documents = [doc(kind, "x" * 50) for kind in "abc"]
    with pytest.raises(UsageError, match=match):
        sequences(documents, Letters(), context, tokens)


def test_kinds_that_do_not_do_can_be_left_out():
    documents = [doc("a", "x" * 20), doc("b", "y" * 4), doc("c", "?" * 20)]
    found = sequences(documents, Letters(), 5, every_kind=False)
    assert [record.kind for record in found.records] == ["a"]
    with pytest.raises(CheckpointError, match="enough tokens for 0 sequences of 5, but 2 are needed"):
        sequences(documents[1:], Letters(), 5, every_kind=False)


def slowly(ours: Sequence[str], others: Sequence[str], gram: int) -> float:
    """The definition of `overlap`, word by word."""

    def grams(texts: Sequence[str]) -> list[tuple[str, ...]]:
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        return [tuple(of_text[i : i + gram]) for of_text in words for i in range(len(of_text) - gram + 1)]

    known, theirs = set(grams(ours)), grams(others)
    return sum(one in known for one in theirs) / len(theirs) if theirs else 0.0


@pytest.mark.parametrize("gram", [1, 2, 3, 5, 13])
def test_the_overlap_is_the_share_of_known_word_sequences(gram):
    draw = random.Random(gram)
    for _ in range(20):
        ours, others = (
            ["-".join(draw.choices("aBcd", k=draw.randrange(25))) for _ in range(3)]
            + [f"{'x y ' * 9}"] * draw.randrange(2)
            for _ in range(2)
        )
        found = overlap([doc("a", text) for text in ours], [doc("a", text) for text in others], gram)
        assert found == pytest.approx(slowly(ours, others, gram))


def test_the_overlap_of_a_text_with_itself_is_whole_and_turns_count():
    words = " ".join(f"w{i}" for i in range(30))
    chat = Document("c", "chat", (Turn("user", "Hello"), Turn("assistant", words.upper())))
    assert overlap([chat], [doc("a", words)]) == 1.0
    assert overlap([chat], [doc("a", "too short")]) == 0.0
