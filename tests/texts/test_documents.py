"""The texts of the package, their parts, and texts of the user's own."""

from __future__ import annotations

import hashlib
import json
import tomllib
import unicodedata
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from quantize_cli.errors import CheckpointError
from quantize_cli.texts import files
from quantize_cli.texts.defaults import default_documents
from quantize_cli.texts.files import documents_of_files, halves
from quantize_cli.texts.model import Document, Part, Turn
from quantize_cli.texts.parts import part_of
from quantize_cli.texts.recipes.mathematics import exercises
from quantize_cli.texts.recipes.records import records

KINDS = ["prose", "chat", "code", "mathematics", "scripts", "json"]


def text(document: Document) -> str:
    content = document.content
    return content if isinstance(content, str) else "\n".join(turn.content for turn in content)


def test_the_default_texts_have_all_kinds_and_are_always_the_same():
    documents = default_documents()
    assert list(dict.fromkeys(document.kind for document in documents)) == KINDS
    assert documents == default_documents()
    names = [document.name for document in documents]
    assert len(set(names)) == len(names)
    assert all(len(text(document)) > 100 for document in documents)


def test_every_part_has_several_documents_of_every_kind():
    documents = default_documents()
    parts = {part: part_of(documents, part) for part in Part}
    assert sorted(d.name for of_part in parts.values() for d in of_part) == sorted(d.name for d in documents)
    for of_part in parts.values():
        assert min(Counter(document.kind for document in of_part)[kind] for kind in KINDS) >= 4
    sizes = [len(parts[part]) / len(documents) for part in Part]
    assert sizes == pytest.approx([0.5, 0.25, 0.25], abs=0.03)


def test_parts_follow_from_the_names_alone():
    documents = [Document(f"text {i}", "prose" if i % 3 else "code", str(i)) for i in range(20)]
    for part in Part:
        chosen = part_of(documents, part)
        assert [d.name for d in chosen] == [d.name for d in documents if d in chosen]
        assert set(part_of(documents[::-1], part)) == set(chosen)
    assert part_of(documents[:1], Part.CALIBRATE) == tuple(documents[:1])


def test_the_conversations_alternate():
    chats = [document.content for document in default_documents() if document.kind == "chat"]
    assert len(chats) >= 24
    for turns in chats:
        assert not isinstance(turns, str)
        assert all(isinstance(turn, Turn) and turn.content for turn in turns)
        roles = [turn.role for turn in turns if turn.role != "system"]
        assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
        assert len(roles) >= 4
        assert "system" not in [turn.role for turn in turns[1:]]


def test_the_scripts_are_many():
    letters = {letter for document in default_documents() if document.kind == "scripts" for letter in text(document)}
    scripts = {unicodedata.name(letter).split()[0] for letter in letters if letter.isalpha()}
    expected = {
        *(
            "LATIN",
            "CYRILLIC",
            "GREEK",
            "ARABIC",
            "HEBREW",
            "DEVANAGARI",
            "BENGALI",
            "TAMIL",
            "THAI",
            "CJK",
            "HIRAGANA",
        ),
        *("HANGUL", "GEORGIAN", "ARMENIAN", "ETHIOPIC", "TELUGU", "KANNADA", "MALAYALAM", "GUJARATI"),
    }
    assert expected <= scripts


def test_the_recipes_give_the_same_texts_with_every_python():
    made = "\0".join(f"{document.name}\0{document.content}" for document in (*exercises(), *records()))
    assert (
        hashlib.sha256(made.encode()).hexdigest() == "f5e6dae3cf07300173f4f6a503273ef6c35d982e1aec4891cbcbb72817b18526"
    )


def test_the_records_are_what_their_names_tell():
    made = {document.name: text(document) for document in records()}
    assert len(json.loads(made["json/orders 1"])["orders"]) == 5
    assert all(json.loads(line)["lines"] for line in made["json/order lines 2"].splitlines())
    assert json.loads(made["json/schema 1"])["properties"]
    assert yaml.safe_load(made["json/services.yaml 3"])["services"]["search"]["replicas"] >= 1
    assert len(tomllib.loads(made["json/stations.toml 2"])["station"]) >= 6
    assert len(ElementTree.fromstring(made["json/catalogue.xml 1"])) == 10


def test_the_shipped_texts_are_small():
    folder = Path(files.__file__).parent / "data"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 300_000


def test_a_file_is_a_document_of_its_own_kind(tmp_path):
    path = tmp_path / "wiki.test.raw"
    path.write_bytes("eins\r\nzwei Ω\n\n".encode())
    (document,) = documents_of_files([path])
    assert document == Document(str(path), "wiki.test", "eins\r\nzwei Ω\n")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "text is empty; give a file with text"),
        (b" \n\t\n", "text is empty"),
        (b"fine\nso far \xff and more", "text is not UTF-8 at byte 12; convert it"),
        (b"x" * 101, "text is larger than 0 MiB"),
    ],
)
def test_files_that_are_not_texts_are_refused(tmp_path, monkeypatch, content, match):
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(CheckpointError, match=match):
        documents_of_files([tmp_path / "text"])


def test_what_is_not_a_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere does not exist; check the path"):
        documents_of_files([tmp_path / "nowhere"])
    with pytest.raises(CheckpointError, match="is a folder; give a text file"):
        documents_of_files([tmp_path])


def test_halves_have_half_of_the_lines():
    first, second = halves(Document("five", "five", "a\nb\u2028c\nd\ne\nf"))
    assert (first.content, second.content) == ("a\nb\u2028c", "d\ne\nf")
    assert (first.name, first.kind) == ("five (first half)", "five")
    with pytest.raises(CheckpointError, match="is one line"):
        halves(Document("one", "one", "a"))
