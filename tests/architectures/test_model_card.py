"""Front matter that is damaged or made to exhaust the machine, and what it may say in which way."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantize_cli.architectures import model_card
from quantize_cli.architectures.general import ParameterCounts, general_fields
from quantize_cli.architectures.model_card import first_present, gathered, read_model_card, sources
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import CheckpointError


@pytest.fixture
def card(tmp_path: Path):
    """Front matter -> what is read of it."""

    def read(matter: str, body: str = "# Model\n"):
        (tmp_path / "README.md").write_text(f"---\n{matter}---\n{body}")
        return read_model_card(FolderSidecars(tmp_path))

    return read


def test_without_a_card_there_is_nothing(tmp_path):
    assert read_model_card(FolderSidecars(tmp_path)) == {}


def test_only_the_front_matter_is_read(card):
    assert card("license: mit\n", "name: [\n---\nauthor: x\n") == {"license": "mit"}


def test_aliases_are_understood(card):
    assert card("tags: &t [a, b]\nlanguage: *t\n") == {"tags": ["a", "b"], "language": ["a", "b"]}


def levels(first: str, following: str) -> str:
    """Forty keys, each of which refers to the one before it twice."""
    return f"k0: &k0 {first}\n" + "".join(
        f"k{level}: &k{level} {following.format(before=f'*k{level - 1}')}\n" for level in range(1, 40)
    )


DAMAGED = {
    "not YAML": ("license: mit\nname: [\n", "(line 4: "),
    "a tab in front": ("name: x\n@: y\n", "(line 3: "),
    "an alias of nothing": ("name: *x\n", "(line 2: "),
    "code": ("name: !!python/object/apply:os.getcwd []\n", "(line 2: "),
    "merges of merges": (levels("{a: 1}", "{{<<: [{before}, {before}]}}"), "a merge key, <<"),
    "a merge": ("a: &a {b: 1}\nc: {<<: *a}\n", "(line 3: 'a merge key, <<')"),
    "a decimal number without end": ("name: " + "9" * 100_000 + "\n", "a number without end"),
    "a sexagesimal number without end": ("name: 1" + ":1" * 100_000 + "\n", "a number without end"),
    "a sexagesimal fraction beyond float64": ("name: 1" + ":1" * 1000 + ".5\n", "too large"),
    "nested without end": ("name: " + "[" * 100_000 + "\n", "recursion"),
    "a month that is none": ("version: 2024-13-01\n", "month"),
    "a control character": ("name: \x01\n", "not allowed"),
    "a list as a key": ("[a]: b\n", "(line 2: "),
}


@pytest.mark.parametrize(("matter", "words"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_front_matter_is_refused_in_a_sentence(card, tmp_path, matter, words):
    with pytest.raises(CheckpointError) as caught:
        card(matter)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'README.md'} has a front matter that is not valid YAML (")
    assert message.endswith("; repair or delete it.")
    assert words in message
    assert "\n" not in message
    assert len(message) < 500


def test_front_matter_must_be_short(card, monkeypatch):
    monkeypatch.setattr(model_card, "MAX_CHARACTERS", 20)
    assert card("license: apache\n", "long " * 100) == {"license": "apache"}
    with pytest.raises(
        CheckpointError, match=r"README\.md has a front matter of more than 20 characters; shorten it\."
    ):
        card("license: apache-2.0-with\n")


@pytest.mark.parametrize("matter", [levels("[x, x]", "[{before}, {before}]") + "tags: *k39\n", "tags: &t [*t, *t]\n"])
def test_lists_of_lists_of_lists_are_never_unfolded(card, tmp_path, matter):
    assert len(card(matter)["tags"]) == 2
    with pytest.raises(CheckpointError, match=r"general\.tags") as caught:
        general_fields(FolderSidecars(tmp_path), "m", {}, ParameterCounts.of(()))
    assert len(str(caught.value)) < 600


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
