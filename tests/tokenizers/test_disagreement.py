"""Files of one tokenizer that disagree, or are not what their names promise: the sentence names the right one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentencepiece_file import BYTE, CONTROL, NORMAL, UNKNOWN, write_model
from tokenizer_factory import keys, make_bpe, make_llama_json, read, write_json
from tokenizers import AddedToken

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.vocabularies import BPE, QWEN2

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 499723\n"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
#: What is not a SentencePiece model: nothing, noise, the vocabulary of tiktoken, a page, a pickle.
OTHERS = (b"", b"\xff" * 100, b"IQ== 0\nIg== 1\n", b"<!DOCTYPE html><html></html>", b"\x80\x04.")
#: The first pieces of `make_llama_json`.
BYTES = [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
PIECES = (("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), *BYTES)


@pytest.mark.parametrize("content", OTHERS)
def test_another_tokenizer_model_beside_a_good_tokenizer_json(tmp_path: Path, content: bytes):
    make_bpe(tmp_path)
    expected = keys(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(content)
    found = read(tmp_path)
    assert keys(tmp_path) == expected
    (note,) = found.notes
    assert note.startswith(f"{tmp_path / 'tokenizer.model'} is not a SentencePiece model (it ")
    assert note.endswith("), so tokenizer.json is used without it.")


@pytest.mark.parametrize("content", OTHERS)
def test_another_tokenizer_model_alone(tmp_path: Path, content: bytes):
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is not a SentencePiece model \(it .*\); download it"):
        read(tmp_path)


def test_a_family_that_does_not_take_a_tokenizer_model_ignores_it(tmp_path: Path):
    make_bpe(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"\xff")
    assert read(tmp_path, BPE).notes == ()


def test_tokenizer_json_has_the_same_vocabulary(tmp_path: Path):
    make_llama_json(tmp_path, AddedToken("<turn>"))
    write_model(tmp_path, *PIECES, ("▁", -1.0, NORMAL), ("a", -2.0, NORMAL), ("▁a", -3.0, NORMAL))
    assert read(tmp_path).notes == ()


@pytest.mark.parametrize(
    ("pieces", "odd"),
    [
        ([("▁", -1.0, NORMAL), ("b", -2.0, NORMAL), ("▁a", -3.0, NORMAL)], "'a' with the id 260, but {} has 'b';"),
        ([("▁", -1.0, NORMAL), ("a", -2.0, NORMAL)], "'▁a' with the id 261, but {} does not have it;"),
    ],
)
def test_tokenizer_json_has_another_vocabulary(tmp_path: Path, pieces: list[tuple[str, float, int]], odd: str):
    make_llama_json(tmp_path)
    write_model(tmp_path, *PIECES, *pieces)
    (note,) = read(tmp_path, rows=262).notes
    assert note == (
        f"{tmp_path / 'tokenizer.json'} has the token {odd.format('tokenizer.model, which is used,')} if that file is "
        "another model's, move it away."
    )
    assert keys(tmp_path)["ggml.tokens"][260] == pieces[1][0]


@pytest.mark.parametrize("i", ["x", None, [], 1.5, -1, {}])
def test_an_id_that_is_none_in_a_tokenizer_json_that_is_not_used(tmp_path: Path, i: object):
    make_llama_json(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["model"]["vocab"]["▁a"] = i
    content["added_tokens"][0]["id"] = i
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    write_model(tmp_path, *PIECES, ("▁", -1.0, NORMAL), ("a", -2.0, NORMAL), ("▁a", -3.0, NORMAL))
    assert len(keys(tmp_path)["ggml.tokens"]) == 262


def test_an_added_token_has_another_id(tmp_path: Path):
    make_bpe(tmp_path)
    decoder = {"280": {"content": "<a>"}, "300": {"content": "<b>"}, "301": {"content": "<c>"}}
    write_json(tmp_path, "tokenizer_config", added_tokens_decoder=decoder)
    found = read(tmp_path, rows=400)
    config, tokenizer = tmp_path / "tokenizer_config.json", tmp_path / "tokenizer.json"
    assert found.notes == (
        f"{config} gives '<b>' the id 300, but it gets the id 281, the next one by the vocabulary of {tokenizer}, "
        "which is used (and so on for 1 more); check that the files belong together.",
    )
    assert keys(tmp_path)["ggml.tokens"][280:] == ("<a>", "<b>", "<c>")


@pytest.mark.parametrize(
    ("file", "i", "has"),
    [("tokenizer.json", 5, "gets the id 280, the next one"), ("added_tokens.json", 7, "has the id 3")],
)
def test_the_file_that_gives_the_other_id_is_named(tmp_path: Path, file: str, i: int, has: str):
    content = make_bpe(tmp_path)
    text = next(text for text, number in content["model"]["vocab"].items() if number == 3) if "added" in file else "<b>"
    if "added" in file:
        write_json(tmp_path, "added_tokens", **{text: i})
    else:
        content["added_tokens"].append({"id": i, "content": text, "special": True, **dict.fromkeys(FLAGS, False)})
        (tmp_path / file).write_text(json.dumps(content))
    (note,) = read(tmp_path, rows=400).notes
    assert note.startswith(f"{tmp_path / file} gives {text!r} the id {i}, but it {has} by the vocabulary of ")


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "config.json",
        "chat_template.jinja",
        "chat_template.json",
        "additional_chat_templates/rag.jinja",
        "merges.txt",
    ],
)
def test_git_lfs_pointers(tmp_path: Path, name: str):
    content = make_bpe(tmp_path)
    (tmp_path / "additional_chat_templates").mkdir()
    write_json(tmp_path, "tokenizer_config", pad_token="<|endoftext|>")
    if name != "chat_template.json":
        (tmp_path / "chat_template.jinja").write_text("x")
    if name == "merges.txt":
        content["model"]["merges"] = []
        (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / name).write_bytes(LFS_POINTER)
    with pytest.raises(CheckpointError, match=rf"{name} is a Git LFS pointer.*git lfs pull"):
        read(tmp_path, QWEN2)


def folder(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system does not have pipes with names")
@pytest.mark.parametrize("make", [folder, os.mkfifo, dangling, endless])
@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "additional_chat_templates/rag.jinja", "special_tokens_map.json"]
)
def test_what_is_not_a_file(tmp_path: Path, name: str, make: Callable[[Path], Any]):
    """It is refused or left out; nothing waits for it, and nothing else is raised."""
    make_bpe(tmp_path)
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "chat_template.jinja").write_text("x")
    write_json(tmp_path, "tokenizer_config", pad_token="<|endoftext|>")
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    refusal = ""
    found: dict[str, Any] = {}
    try:
        found = keys(tmp_path)
    except CheckpointError as error:
        refusal = str(error)
    assert bool(found) == (refusal == "")
    assert name in refusal or found.get("chat_template") in (None, "x")
    assert "chat_templates" not in found
