"""Byte-level BPE from tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gguf import TokenType
from tokenizer_factory import keys, make_bpe, write_json
from tokenizers import AddedToken

from quantize_cli.errors import CheckpointError, UnsupportedError, UsageError
from quantize_cli.tokenizers.vocabularies import QWEN2

pytestmark = pytest.mark.usefixtures("without_child")


def test_tokens_types_and_merges(tmp_path: Path):
    content = make_bpe(tmp_path)
    found = keys(tmp_path, pre_tokenizer="gpt-2")
    assert list(found)[:5] == ["ggml.model", "ggml.pre", "ggml.tokens", "ggml.token_type", "ggml.merges"]
    assert found["ggml.model"] == "gpt2"
    assert found["ggml.pre"] == "gpt-2"
    assert dict(zip(found["ggml.tokens"], range(280), strict=True)) == content["model"]["vocab"]
    assert found["ggml.token_type"] == (TokenType.CONTROL, *[TokenType.NORMAL] * 279)
    assert found["ggml.merges"] == tuple(" ".join(pair) for pair in content["model"]["merges"])


def test_vocabulary_is_padded_to_the_size_of_the_config(tmp_path: Path):
    make_bpe(tmp_path)
    found = keys(tmp_path, vocab_size=283, pre_tokenizer="gpt-2")
    assert found["ggml.tokens"][280:] == ("[PAD280]", "[PAD281]", "[PAD282]")
    assert found["ggml.token_type"][280:] == (TokenType.UNUSED,) * 3


@pytest.mark.parametrize(
    ("added", "text", "type_"),
    [
        (AddedToken("<x>", special=True), "<x>", TokenType.CONTROL),
        (AddedToken("<x>", normalized=False), "<x>", TokenType.USER_DEFINED),
        (AddedToken("<|x|>", normalized=False), "<|x|>", TokenType.CONTROL),
        (AddedToken("<｜x｜>", normalized=False), "<｜x｜>", TokenType.CONTROL),
        (AddedToken("<mask>"), "<mask>", TokenType.CONTROL),
        (AddedToken("<unused3>"), "<unused3>", TokenType.CONTROL),
        (AddedToken("a▁b"), "a b", TokenType.USER_DEFINED),
        (AddedToken("Ġx", normalized=False), " x", TokenType.USER_DEFINED),
        (AddedToken("Ġx", normalized=True), "Ġx", TokenType.USER_DEFINED),
    ],
)
def test_added_tokens(tmp_path: Path, added: AddedToken, text: str, type_: TokenType):
    make_bpe(tmp_path, added)
    found = keys(tmp_path, pre_tokenizer="gpt-2")
    assert (found["ggml.tokens"][280], found["ggml.token_type"][280]) == (text, type_)


def test_tokens_that_only_tokenizer_config_names_are_added(tmp_path: Path):
    make_bpe(tmp_path)
    decoder = {"280": {"content": "<turn>", "special": False, "normalized": False}}
    write_json(tmp_path, "tokenizer_config", pad_token="<pad>", added_tokens_decoder=decoder)
    found = keys(tmp_path, pre_tokenizer="gpt-2")
    assert found["ggml.tokens"][280:] == ("<turn>", "<pad>")
    assert found["ggml.token_type"][280:] == (TokenType.USER_DEFINED, TokenType.CONTROL)


def test_tokens_of_older_files_are_added(tmp_path: Path):
    make_bpe(tmp_path)
    write_json(tmp_path, "added_tokens", **{"<turn>": 280})
    write_json(tmp_path, "special_tokens_map", pad_token={"content": "<pad>", "normalized": False})
    found = keys(tmp_path, pre_tokenizer="gpt-2")
    assert found["ggml.tokens"][280:] == ("<turn>", "<pad>")


def test_qwen2_has_its_end_of_text_as_unknown_and_padding(tmp_path: Path):
    content = make_bpe(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content).replace("<|endoftext|>", "<|other|>"))
    write_json(tmp_path, "config", model_type="qwen2")
    found = keys(tmp_path, QWEN2, pre_tokenizer="qwen2")
    assert found["ggml.tokens"][280:] == ("<|endoftext|>",)


def test_a_space_within_a_merge_is_spelled_as_gpt2_spells_it(tmp_path: Path):
    content = make_bpe(tmp_path)
    vocabulary = content["model"]["vocab"]
    vocabulary["a b"] = vocabulary.pop(next(token for token, i in vocabulary.items() if i == 279))
    vocabulary[" b"] = 280
    content["model"]["merges"] = [["a", " b"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert keys(tmp_path, pre_tokenizer="gpt-2")["ggml.merges"] == ("a Ġb",)


def test_merges_of_merges_txt(tmp_path: Path):
    content = make_bpe(tmp_path)
    content["model"]["merges"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nt h\nth e\n\nmalformed\n")
    assert keys(tmp_path, pre_tokenizer="gpt-2")["ggml.merges"] == ("t h", "th e")


def test_a_pre_tokenizer_that_does_not_exist(tmp_path: Path):
    make_bpe(tmp_path)
    with pytest.raises(UsageError, match=r"'lama-bpe' is not the name of a pre-tokenizer.*llama-bpe"):
        keys(tmp_path, pre_tokenizer="lama-bpe")
    with pytest.raises(UsageError, match=r"choose one of .*qwen2"):
        keys(tmp_path, pre_tokenizer="@@@")


def test_ids_beyond_the_vocabulary(tmp_path: Path):
    make_bpe(tmp_path)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json has the token .* with the id 279.* vocab_size is 279;"):
        keys(tmp_path, vocab_size=279, pre_tokenizer="gpt-2")


def test_another_model_than_bpe(tmp_path: Path):
    content = make_bpe(tmp_path)
    content["model"] = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UnsupportedError, match="WordLevel"):
        keys(tmp_path)
