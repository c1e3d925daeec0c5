"""Missing, damaged and hostile tokenizer files: one sentence each, that names the file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizer_factory import keys, make_bpe, make_sentencepiece, write_json

from quantize_cli.checkpoints import sidecars
from quantize_cli.errors import CheckpointError, QuantizeError
from quantize_cli.tokenizers.vocabularies import LLAMA, QWEN2
from quantize_cli.tokenizers.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("without_child")

JUNK = (None, -1, 1.5, True, "x", [], [1], {}, {"a": 1}, [[None]], 10**20)


@pytest.mark.parametrize("vocabulary", [LLAMA, QWEN2])
def test_no_tokenizer(tmp_path: Path, vocabulary: Vocabulary):
    with pytest.raises(CheckpointError, match=r"tokenizer\.json or tokenizer\.model is missing"):
        keys(tmp_path, vocabulary)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty, so it cannot be read as"),
        (b"<!DOCTYPE html><html>", "is a web page, so it cannot be read as"),
        (b"\xef\xbb\xbf{}", "is JSON text with a byte order mark, as Windows programs write it"),
        ('{"model": {}}'.encode("utf-16"), "is JSON text with a byte order mark, as Windows programs write it"),
        (b'{"model": ', "is not a JSON object"),
        (b"[" * 100_000, "is not a JSON object"),
        (b'{"a": 1, "a": 2}', "is not a JSON object"),
        (b"[]", "is not a JSON object"),
        (b"\xff\xfe", "is not a JSON object"),
    ],
)
def test_files_that_are_not_json(tmp_path: Path, name: str, content: bytes, reason: str):
    make_bpe(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} {reason}"):
        keys(tmp_path, pre_tokenizer="gpt-2")


def test_json_that_is_not_a_tokenizer(tmp_path: Path):
    write_json(tmp_path, "tokenizer", model={"type": "BPE", "vocab": {"a": "b"}})
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not a tokenizer"):
        keys(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"chat_template": "\ud800"},
        {"\udfff": 1},
        {"a": [{"b": ["\udc00\ud800"]}]},
        {"chat_template": "🚀", "extra": "\udbff"},
    ],
)
def test_half_a_character(tmp_path: Path, content: dict[str, Any]):
    make_bpe(tmp_path)
    write_json(tmp_path, "tokenizer_config", **content)
    with pytest.raises(
        CheckpointError, match=r"tokenizer_config\.json is not a JSON object .*has half of a surrogate pair"
    ):
        keys(tmp_path, pre_tokenizer="gpt-2")


def test_two_halves_are_a_character(tmp_path: Path):
    make_bpe(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(r'{"chat_template": "\ud83d\ude80 \\ud800"}')
    assert keys(tmp_path, pre_tokenizer="gpt-2")["chat_template"] == "🚀 \\ud800"


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_files_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    make_bpe(tmp_path)
    monkeypatch.setattr(sidecars, "_MAX_BYTES", {"tokenizer.json": 1 << 20})
    monkeypatch.setattr(sidecars, "_MAX_OTHER_BYTES", 1 << 20)
    with (tmp_path / name).open("ab") as file:
        file.truncate((1 << 20) + 1)
    with pytest.raises(CheckpointError, match=f"{name} is larger than 1 MiB"):
        keys(tmp_path, pre_tokenizer="gpt-2")


@pytest.mark.parametrize("size", [0, -1, 1 << 40, 2.0, True, "280"])
def test_a_vocabulary_size_that_no_tokenizer_has(tmp_path: Path, size):
    make_bpe(tmp_path)
    with pytest.raises(CheckpointError, match=r"config\.json gives vocab_size as"):
        keys(tmp_path, vocab_size=size, pre_tokenizer="gpt-2")


@pytest.mark.parametrize("make", [make_bpe, make_sentencepiece])
@pytest.mark.parametrize("token_id", ["9" * 5000, "-1", "x", "99999999999", "1.0", " 1", "²", "٣", ""])
def test_ids_of_added_tokens_that_are_none(tmp_path: Path, make: Callable[[Path], object], token_id: str):
    make(tmp_path)
    write_json(tmp_path, "tokenizer_config", added_tokens_decoder={token_id: {"content": "<x>"}})
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json gives an added token the id '.*not a token id"):
        keys(tmp_path)


@pytest.mark.parametrize("make", [make_bpe, make_sentencepiece])
@pytest.mark.parametrize("token_id", [True, 1.0, 1e400, -1, 1 << 32, None, [], "x", "9" * 5000])
def test_numbers_of_added_tokens_that_are_none(tmp_path: Path, make: Callable[[Path], object], token_id: object):
    make(tmp_path)
    write_json(tmp_path, "added_tokens", **{"<x>": token_id})
    with pytest.raises(CheckpointError, match=r"added_tokens\.json gives an added token the id .*not a token id"):
        keys(tmp_path)


@pytest.mark.parametrize("name", ["added_tokens", "tokenizer_config", "tokenizer", "config", "special_tokens_map"])
def test_a_number_with_more_digits_than_python_reads(tmp_path: Path, name: str):
    content = make_bpe(tmp_path)
    whole = {"tokenizer": content}.get(name, {})
    (tmp_path / f"{name}.json").write_text(json.dumps({**whole, "a": 0}).replace('"a": 0', '"a": ' + "9" * 5000))
    with pytest.raises(CheckpointError, match=rf"{name}\.json is not a JSON object"):
        keys(tmp_path, pre_tokenizer="gpt-2")


@pytest.mark.parametrize("make", [make_bpe, make_sentencepiece])
@pytest.mark.parametrize("entry", [{}, {"content": 1}, {"special": True}, "<x>", None])
def test_an_added_token_without_a_text(tmp_path: Path, make: Callable[[Path], object], entry: object):
    make(tmp_path)
    write_json(tmp_path, "tokenizer_config", added_tokens_decoder={"7": entry})
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json does not give the text of the added token 7"):
        keys(tmp_path)


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_values_of_a_wrong_type_are_an_error_or_left_out(tmp_path: Path, junk):
    bpe, pieces = tmp_path / "bpe", tmp_path / "pieces"
    bpe.mkdir()
    pieces.mkdir()
    tokenizer = make_bpe(bpe)
    make_sentencepiece(pieces)
    settings = {
        "bos_token": "<|endoftext|>",
        "chat_template": [{"name": "default", "template": "x"}],
        "added_tokens_decoder": {"0": {"content": "<|endoftext|>", "special": True}},
        "extra_special_tokens": ["<|x|>"],
    }
    for whole, name in ((tokenizer, "tokenizer"), (settings, "tokenizer_config")):
        for key in whole:
            body = json.dumps({**whole, key: junk})
            for folder in (bpe, pieces):
                (folder / f"{name}.json").write_text(body)
                with contextlib.suppress(QuantizeError):  # any other exception fails the test
                    assert keys(folder, pre_tokenizer="gpt-2" if folder is bpe else None)
        write_json(bpe, name, **whole)
        write_json(pieces, name, **whole)
