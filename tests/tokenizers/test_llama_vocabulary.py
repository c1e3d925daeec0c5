"""SentencePiece vocabularies, from tokenizer.model or in tokenizer.json, and what the LLaMA families add."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import TokenType
from tokenizer_factory import keys, make_bpe, make_llama_json, make_sentencepiece, write_json
from tokenizers import AddedToken

from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.tokenizers.vocabularies import LLAMA, QWEN2
from quantize_cli.tokenizers.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("without_child")

VOCABULARY_KEYS = ["ggml.model", "ggml.pre", "ggml.tokens", "ggml.scores", "ggml.token_type"]


@pytest.mark.parametrize("vocabulary", [LLAMA, QWEN2])
def test_pieces_of_tokenizer_model(tmp_path: Path, vocabulary: Vocabulary):
    processor = make_sentencepiece(tmp_path)
    make_bpe(tmp_path)  # tokenizer.model comes first
    found = keys(tmp_path, vocabulary)
    assert list(found) == VOCABULARY_KEYS
    assert (found["ggml.model"], found["ggml.pre"]) == ("llama", "default")
    assert found["ggml.tokens"] == tuple(processor.IdToPiece(i) for i in range(300))
    assert found["ggml.scores"] == tuple(processor.GetScore(i) for i in range(300))
    bytes_ = [TokenType.BYTE] * 256
    assert found["ggml.token_type"][:260] == (TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *bytes_, TokenType.NORMAL)


def test_pieces_are_padded_or_cut_to_the_size_of_the_config(tmp_path: Path):
    make_sentencepiece(tmp_path)
    found = keys(tmp_path, vocab_size=302)
    assert found["ggml.tokens"][300:] == ("[PAD300]", "[PAD301]")
    assert found["ggml.scores"][300:] == (-10000.0, -10000.0)
    assert found["ggml.token_type"][300:] == (TokenType.UNUSED, TokenType.UNUSED)
    assert len(keys(tmp_path, vocab_size=290)["ggml.tokens"]) == 290


def test_added_tokens_lie_over_the_pieces(tmp_path: Path):
    make_sentencepiece(tmp_path)
    write_json(tmp_path, "added_tokens", **{"<a>": 300, "<beyond>": 310})
    decoder = {
        "1": {"content": "<bos>", "special": True},
        "301": {"content": "▁b", "special": False},
        "302": {"content": "<|c|>", "special": False},
    }
    write_json(tmp_path, "tokenizer_config", added_tokens_decoder=decoder)
    found = keys(tmp_path, vocab_size=303)
    assert found["ggml.tokens"][1] == "<bos>"
    assert found["ggml.tokens"][300:] == ("<a>", " b", "<|c|>")
    assert found["ggml.scores"][300:] == (-1000.0,) * 3
    user = TokenType.USER_DEFINED
    assert found["ggml.token_type"][300:] == (user, user, TokenType.CONTROL)


def test_tokenizer_json_in_the_place_of_tokenizer_model(tmp_path: Path):
    make_llama_json(
        tmp_path, AddedToken("<turn>"), AddedToken("<|pad|>", special=True), AddedToken("<|role|>", special=True)
    )
    write_json(tmp_path, "tokenizer_config", bos_token="<s>", eos_token="</s>", pad_token="<|pad|>")
    found = keys(tmp_path, vocab_size=280)
    assert list(found)[:5] == VOCABULARY_KEYS
    assert (found["ggml.model"], found["ggml.pre"]) == ("llama", "default")
    assert found["ggml.tokens"][:5] == ("<unk>", "<s>", "</s>", "<0x00>", "<0x01>")
    assert found["ggml.tokens"][259:] == ("▁", "a", "▁a", "<turn>", "<|pad|>", "<|role|>")
    assert set(found["ggml.scores"]) == {-1000.0}
    control, user = TokenType.CONTROL, TokenType.USER_DEFINED
    assert found["ggml.token_type"][:4] == (TokenType.NORMAL, control, control, TokenType.BYTE)
    assert found["ggml.token_type"][259:] == (*[TokenType.NORMAL] * 3, user, control, user)
    assert (found["ggml.bos_token_id"], found["ggml.eos_token_id"], found["ggml.padding_token_id"]) == (1, 2, 263)


def test_the_llama_class_names_the_unknown_token(tmp_path: Path):
    make_llama_json(tmp_path)
    write_json(tmp_path, "tokenizer_config", tokenizer_class="LlamaTokenizerFast")
    assert keys(tmp_path)["ggml.token_type"][0] == TokenType.CONTROL


@pytest.mark.parametrize("value", [True, False])
def test_add_prefix_space_comes_first(tmp_path: Path, value: bool):
    make_bpe(tmp_path)
    write_json(tmp_path, "tokenizer_config", add_prefix_space=value)
    found = keys(tmp_path, pre_tokenizer="gpt-2")
    assert next(iter(found.items())) == ("ggml.add_space_prefix", value)
    assert "ggml.add_space_prefix" not in keys(tmp_path, QWEN2, pre_tokenizer="gpt-2")


def test_code_llama_is_told_by_its_vocabulary(tmp_path: Path):
    make_sentencepiece(tmp_path)
    assert keys(tmp_path, vocab_size=32016)["ggml.eot_token_id"] == 32010
    assert "ggml.eot_token_id" not in keys(tmp_path, vocab_size=32000)


def test_small_granite_models_are_told_by_their_vocabulary(tmp_path: Path):
    make_bpe(tmp_path)
    write_json(tmp_path, "tokenizer_config", add_bos_token=True)
    assert keys(tmp_path, vocab_size=49152, pre_tokenizer="gpt-2")["ggml.add_bos_token"] is False
    assert keys(tmp_path, vocab_size=49155, pre_tokenizer="gpt-2")["ggml.add_bos_token"] is True


@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_a_damaged_tokenizer_model(tmp_path: Path, damage: str):
    make_sentencepiece(tmp_path)
    path = tmp_path / "tokenizer.model"
    path.write_bytes({"cut": path.read_bytes()[:500], "empty": b"", "noise": b"\xff" * 100}[damage])
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is not a SentencePiece model"):
        keys(tmp_path)


@pytest.mark.parametrize("token_id", [-1, "x", None])
def test_an_added_token_with_an_impossible_id(tmp_path: Path, token_id):
    make_sentencepiece(tmp_path)
    write_json(tmp_path, "added_tokens", **{"<a>": token_id})
    with pytest.raises(CheckpointError, match=r"added_tokens\.json"):
        keys(tmp_path)


def test_a_sentencepiece_vocabulary_has_no_pre_tokenizer_to_choose(tmp_path: Path):
    make_sentencepiece(tmp_path)
    with pytest.raises(UsageError, match=r"tokenizer\.model"):
        keys(tmp_path, pre_tokenizer="gpt-2")
