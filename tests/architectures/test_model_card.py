"""Front matter that is damaged or made to exhaust the machine, and what it may say in which way."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from quantize_cli.architectures import model_card
from quantize_cli.architectures.general import ParameterCounts, general_fields
from quantize_cli.architectures.model_card import ModelCard, first_present, gathered, read_model_card, sources
from quantize_cli.checkpoints.sidecars import FolderSidecars


@pytest.fixture
def card(tmp_path: Path):
    """Front matter -> what is read of it."""

    def read(matter: str, body: str = "# Model\n"):
        (tmp_path / "README.md").write_text(f"---\n{matter}---\n{body}")
        return read_model_card(FolderSidecars(tmp_path)).values

    return read


def test_without_a_card_there_is_nothing(tmp_path):
    assert read_model_card(FolderSidecars(tmp_path)) == ModelCard({})


def test_only_the_front_matter_is_read(card):
    assert card("license: mit\n", "name: [\n---\nauthor: x\n") == {"license": "mit"}


def test_aliases_are_understood(card):
    assert card("tags: &t [a, b]\nlanguage: *t\n") == {"tags": ["a", "b"], "language": ["a", "b"]}


def test_merges_are_understood(card):
    assert card("a: &a {b: 1}\nc: {<<: *a}\n") == {"a": {"b": 1}, "c": {"b": 1}}


def levels(first: str, following: str) -> str:
    """Forty keys, each of which refers to the one before it twice."""
    return f"k0: &k0 {first}\n" + "".join(
        f"k{level}: &k{level} {following.format(before=f'*k{level - 1}')}\n" for level in range(1, 40)
    )


UNFOLDED = "unfold to too many characters"
UNUSABLE = {
    "not YAML": ("license: mit\nname: [\n", "(line 4: "),
    "a tab in front": ("name: x\n@: y\n", "(line 3: "),
    "an alias of nothing": ("name: *x\n", "(line 2: "),
    "code": ("name: !!python/object/apply:os.getcwd []\n", "(line 2: "),
    "merges of merges": (levels("{a: 1}", "{{<<: [{before}, {before}]}}"), UNFOLDED),
    "lists of lists": (levels("[x, x]", "[{before}, {before}]") + "tags: *k39\n", UNFOLDED),
    "a long text again and again": ("a: &a " + "x" * 100_000 + "\ntags: [" + "*a, " * 100_000 + "]\n", UNFOLDED),
    "a list in itself": ("tags: &t [*t, *t]\n", UNFOLDED),
    "a decimal number without end": ("name: " + "9" * 100_000 + "\n", "a number without end"),
    "a sexagesimal number without end": ("name: 1" + ":1" * 100_000 + "\n", "a number without end"),
    "a sexagesimal fraction beyond float64": ("name: 1" + ":1" * 1000 + ".5\n", "too large"),
    "nested without end": ("name: " + "[" * 100_000 + "\n", "nested too deeply"),
    "mappings without end": ("name: " + "{a: " * 100_000 + "\n", "nested too deeply"),
    "a month that is none": ("version: 2024-13-01\n", "month"),
    "a control character": ("name: \x01\n", "not allowed"),
    "a list as a key": ("[a]: b\n", "(line 2: "),
    "two documents": ("a: b\n--- \nc: d\n", "another document"),
    "too long": ("license: " + "x" * model_card.MAX_CHARACTERS + "\n", "more than 1,048,576 characters"),
}


@pytest.mark.parametrize(("matter", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_card_that_cannot_be_used_is_told_in_a_sentence(card, tmp_path, matter, words):
    assert card(matter) == {}
    (note,) = general_fields(FolderSidecars(tmp_path), "m", {}, ParameterCounts.of(())).notes
    assert note.startswith(f"{tmp_path / 'README.md'} has a front matter that cannot be used (")
    assert note.endswith("), so the file does not tell the model's author, license and tags.")
    assert words in note
    assert "\n" not in note
    assert len(note) < 500


def test_only_the_front_matter_must_be_short(card):
    assert card("license: apache\n", "long " * model_card.MAX_CHARACTERS) == {"license": "apache"}


def test_both_loaders_bound_their_work(monkeypatch, card):
    monkeypatch.setattr(model_card, "_SafeLoader", yaml.SafeLoader)
    assert card("name: " + "[" * 100_000 + "\n") == {}
    assert card("license: mit\n") == {"license": "mit"}


def test_an_integer_of_many_hexadecimal_digits(card, tmp_path):
    card("author: 0x" + "f" * 4000 + "\n")
    (note,) = general_fields(FolderSidecars(tmp_path), "m", {}, ParameterCounts.of(())).notes
    assert "general.author is <an integer of 16,000 bits> instead of text" in note


def test_the_first_name_that_is_not_null_counts():
    assert first_present({"a": None, "b": 0, "c": 1}, ("x", "a", "b", "c")) == 0
    assert first_present({}, ("a",)) is None


def test_lists_follow_each_other():
    assert gathered({"a": "x", "b": ["y", "z"], "c": 3, "d": None}, ("d", "b", "c", "a")) == ["y", "z", "x"]


def test_a_source_is_told_from_its_hub_id():
    card = {"base_model": ["meta-llama/Llama-3.2-1B-v2", 7, {"name": "Own"}]}
    assert sources(card, ("base_model",), 10**9) == [
        {
            "name": "Llama 3.2 1B v2",
            "organization": "Meta Llama",
            "version": "v2",
            "repo_url": "https://huggingface.co/meta-llama/Llama-3.2-1B-v2",
        },
        {},
        {"name": "Own"},
    ]


def test_no_sources_are_not_an_empty_list():
    assert sources({}, ("datasets", "dataset"), 0) is None
    assert sources({"datasets": None, "dataset": "x"}, ("datasets", "dataset"), 0) == []
