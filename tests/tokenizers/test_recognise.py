"""Pre-tokenizers told by a hash, by the hash without added tokens, and of real tokenizers that were changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizer_factory import keys, make_bpe, read, write_json
from tokenizers import AddedToken

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import UnsupportedError, UsageError
from quantize_cli.tokenizers.child import recognise
from quantize_cli.tokenizers.pre_tokenizers import behave_alike, hash_of
from quantize_cli.tokenizers.vocabularies import BPE, LLAMA
from quantize_cli.tokenizers.vocabulary import read_vocabulary

pytestmark = pytest.mark.usefixtures("without_child")

SHARED = Path(os.environ.get("QUANTIZE_SHARED", Path(__file__).resolve().parents[2] / ".." / "shared"))
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "shakespeare-llama"

Known = Callable[[dict[str, str]], None]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """Makes a table from hashes to names the only one."""

    def make(names: dict[str, str]) -> None:
        monkeypatch.setattr(recognise, "name_of", lambda ids: names.get(hash_of(ids)))

    return make


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The token ids that were looked up, in their order."""
    looked_up: list[list[int]] = []
    monkeypatch.setattr(recognise, "name_of", lambda ids: looked_up.append(list(ids)))
    return looked_up


def without_structure(folder: Path) -> None:
    """Give a tokenizer a structure that no row has: text in lower case."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "normalizer": {"type": "Lowercase"}}))


def test_the_hash_comes_first_and_needs_no_note(tmp_path: Path, hashes: list[list[int]], known: Known):
    make_bpe(tmp_path)
    keys(tmp_path)
    known({hash_of(hashes[0]): "olmo"})
    found = read(tmp_path)
    assert "olmo" in [field.value for field in found.fields]
    assert found.notes == ()


@pytest.mark.parametrize("added", [(), ("apple",)], ids=["hash", "hash without added tokens"])
def test_a_hash_of_another_structure_is_told(
    tmp_path: Path, hashes: list[list[int]], known: Known, added: tuple[str, ...]
):
    make_bpe(tmp_path)
    keys(tmp_path)
    make_bpe(tmp_path, *map(AddedToken, added))
    known({hash_of(hashes[0]): "refact"})
    found = read(tmp_path)
    assert "refact" in [field.value for field in found.fields]
    where = tmp_path / "tokenizer.json"
    assert found.notes == (
        f"{where} has the pre-tokenizer refact for llama.cpp's converter, but splits text as gpt-2 does, so llama.cpp "
        "may make other tokens of it; refact is used; override with --pre-tokenizer gpt-2.",
    )


@pytest.mark.parametrize("name", ["gigachat", "granite-embed-multi-97m", "falcon3"])
def test_a_hash_whose_structure_is_not_known_needs_no_note(
    tmp_path: Path, hashes: list[list[int]], known: Known, name: str
):
    make_bpe(tmp_path)
    keys(tmp_path)
    known({hash_of(hashes[0]): name})
    assert read(tmp_path).notes == ()


def test_a_hash_taken_with_a_bos_token_is_found_too(tmp_path: Path, hashes: list[list[int]], known: Known):
    make_bpe(tmp_path)
    write_json(tmp_path, "tokenizer_config", bos_token="<|endoftext|>", add_bos_token=True)
    keys(tmp_path)
    without, with_bos = hashes[:2]
    assert with_bos == [0, *without]
    known({hash_of(with_bos): "exaone4"})
    found = read(tmp_path)
    assert "exaone4" in [field.value for field in found.fields]
    assert found.notes == ()


@pytest.mark.parametrize("added", [["apple"], ["<turn>"], [" multiple", "apple", "Български", "RE you"]])
def test_a_fine_tune_that_added_tokens_has_the_name_of_its_base(
    tmp_path: Path, hashes: list[list[int]], known: Known, added: list[str]
):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    for folder, tokens in ((base, []), (tuned, added)):
        folder.mkdir()
        make_bpe(folder, *(AddedToken(token) for token in tokens))
        without_structure(folder)
    with pytest.raises(UnsupportedError):
        keys(base)
    known({hash_of(hashes[0]): "chatglm-bpe"})
    found = read(tuned)
    assert "chatglm-bpe" in [field.value for field in found.fields]
    assert found.notes == ()


def test_added_tokens_of_the_base_stay(tmp_path: Path, hashes: list[list[int]], known: Known):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    for folder, tokens in ((base, ["concatenated"]), (tuned, ["concatenated", "not", "apple"])):
        folder.mkdir()
        make_bpe(folder, *(AddedToken(token) for token in tokens))
        without_structure(folder)
    with pytest.raises(UnsupportedError):
        keys(base)
    known({hash_of(hashes[0]): "glm4"})
    assert keys(tuned)["ggml.pre"] == "glm4"


def test_a_fine_tune_that_adds_another_end_of_text(tmp_path: Path, hashes: list[list[int]], known: Known):
    content = make_bpe(tmp_path)
    without_structure(tmp_path)
    with pytest.raises(UnsupportedError):
        keys(tmp_path)
    known({hash_of(hashes[0]): "glm4"})
    last = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, last],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}},
    }
    content |= {"normalizer": {"type": "Lowercase"}, "post_processor": template}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert keys(tmp_path)["ggml.pre"] == "glm4"


def test_many_added_tokens_end_in_time(tmp_path: Path, hashes: list[list[int]]):
    words = ["apple", "not", "some", "like", "tea", "make", "you", "sure", "been", "told", "there", "multiple"]
    make_bpe(tmp_path, *(AddedToken(word[:n]) for word in words for n in range(1, 9)))
    without_structure(tmp_path)
    with pytest.raises(UnsupportedError, match=f"hash {'[0-9a-f]' * 64}"):
        keys(tmp_path)
    assert 2 < len(hashes) <= 2 + 2 * recognise._MAX_ROUNDS


def test_the_example_needs_no_option():
    found = read_vocabulary(LLAMA, FolderSidecars(EXAMPLE), json.loads((EXAMPLE / "config.json").read_text()))
    assert {field.key: field.value for field in found.fields}["tokenizer.ggml.pre"] == "gpt-2"
    assert found.notes == ()


def test_a_name_that_does_not_exist(tmp_path: Path):
    make_bpe(tmp_path)
    with pytest.raises(UsageError, match=r"'lama-bpe' is not the name of a pre-tokenizer; did you mean .*llama-bpe"):
        keys(tmp_path, pre_tokenizer="lama-bpe")
    with pytest.raises(UsageError, match=r"choose one of .*qwen2"):
        keys(tmp_path, pre_tokenizer="@@@")


#: Real tokenizer -> its name by hash, its name by structure.
REAL = {
    "gpt2": ("gpt-2", "gpt-2"),
    "pythia-410m": ("olmo", "gpt-2"),
    "smollm2": ("smollm", "smollm"),
    # its tokenizer.json does not put digits apart, as "refact" does; no token of it has two digits
    "granite-3.1-moe": ("refact", "gpt-2"),
    "llama3_1": ("llama-bpe", "llama-bpe"),
    "qwen3": ("qwen2", "qwen2"),
    "deepseek_v3": ("joyai-llm", "deepseek-v3"),
    "gptoss": ("gpt-4o", "gpt-4o"),
    "gemma3": ("granite-embed-multi-311m", "gemma4"),
}


def real(name: str) -> dict[str, Any]:
    """A real tokenizer.json."""
    path = SHARED / "tokenizers" / name / "tokenizer.json"
    if not path.is_file():
        pytest.skip("needs the folder shared/ beside the project")
    return json.loads(path.read_bytes())


def changed(name: str, folder: Path, content: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The name that a tokenizer.json gets beside the other files of a real tokenizer, and the notes."""
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        source = SHARED / "tokenizers" / name / file
        if source.is_file():
            config = json.loads(source.read_bytes())
            config.pop("added_tokens_decoder", None)  # its ids are those of the whole vocabulary
            (folder / file).write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(content))
    found = read(folder, BPE)
    return {field.key: field.value for field in found.fields}["tokenizer.ggml.pre"], found.notes


SLOW = {"llama3_1", "qwen3", "deepseek_v3", "gptoss", "gemma3"}
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in REAL]


@pytest.mark.parametrize("name", NAMES)
def test_a_real_tokenizer_with_an_added_token_has_the_name_of_its_base(name: str, tmp_path: Path):
    content = real(name)
    token = {"id": next_id(content), "content": "multiple emojis", "single_word": False, "lstrip": False}
    content["added_tokens"].append({**token, "rstrip": False, "normalized": False, "special": False})
    found, notes = changed(name, tmp_path, content)
    assert found == REAL[name][0]
    assert len(notes) == (name == "granite-3.1-moe")  # its structure is another name's


@pytest.mark.parametrize("name", NAMES)
def test_a_real_tokenizer_with_other_ids_is_told_by_its_structure(name: str, tmp_path: Path):
    content = real(name)
    renumber(content)
    found, notes = changed(name, tmp_path, content)
    by_hash, by_structure = REAL[name]
    assert found == by_structure
    assert behave_alike(found, by_hash) or name == "granite-3.1-moe"
    # The others have one name, or names that differ in nothing.
    assert bool(notes) == (by_structure in ("smollm", "qwen2"))


def next_id(content: dict[str, Any]) -> int:
    return 1 + max([*content["model"]["vocab"].values(), *(token["id"] for token in content["added_tokens"])])


def renumber(content: dict[str, Any]) -> None:
    """Give every token of the vocabulary the next one's id, so that the hash is unknown."""
    vocabulary = content["model"]["vocab"]
    size = len(vocabulary)
    content["model"]["vocab"] = {token: (i + 1) % size for token, i in vocabulary.items()}
    for token in content["added_tokens"]:
        if token["id"] < size:
            token["id"] = (token["id"] + 1) % size
