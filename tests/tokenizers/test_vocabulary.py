"""Vocabularies as values: comparable, read from any sidecars, with what a family adds."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from tokenizer_factory import keys, make_bpe, make_sentencepiece, read, write_json
from tokenizers import AddedToken

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.token_types import TokenType
from quantize_cli.tokenizers.vocabularies import BPE, DEEPSEEK, GEMMA, KIMI, LLAMA, QWEN2
from quantize_cli.tokenizers.vocabulary import Extra, Vocabulary, read_vocabulary

pytestmark = pytest.mark.usefixtures("without_child")


class Remote:
    """Sidecars without a folder."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.reads: list[str] = []

    def has(self, name: str) -> bool:
        return name in self.files

    def names(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.files if name.rpartition("/")[0] == folder))

    def read(self, name: str) -> bytes:
        self.reads.append(name)
        return self.files[name]

    def where(self, name: str) -> str:
        return f"org/model:{name}"


def remote(folder: Path) -> Remote:
    """The files of a folder, without it."""
    return Remote({str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()})


def test_vocabularies_are_values():
    assert replace(LLAMA) == LLAMA
    assert len({BPE, DEEPSEEK, GEMMA, LLAMA, QWEN2}) == 5
    assert KIMI == DEEPSEEK
    with pytest.raises(FrozenInstanceError):
        LLAMA.kinds = ()  # type: ignore[misc]


def test_a_model_that_is_not_on_the_disk(tmp_path: Path):
    make_bpe(tmp_path, AddedToken("<turn>", special=True))
    write_json(tmp_path, "tokenizer_config", eos_token="<turn>", add_prefix_space=False)
    (tmp_path / "chat_template.jinja").write_text("a")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "rag.jinja").write_text("b")
    (tmp_path / "additional_chat_templates" / "notes.txt").write_text("c")
    sidecars = remote(tmp_path)
    found = read_vocabulary(LLAMA, sidecars, {"vocab_size": 300})
    assert found == read_vocabulary(LLAMA, FolderSidecars(tmp_path), {"vocab_size": 300})
    assert [field.key.removeprefix("tokenizer.") for field in found.fields] == [
        "ggml.add_space_prefix",
        "ggml.model",
        "ggml.pre",
        "ggml.tokens",
        "ggml.token_type",
        "ggml.merges",
        "ggml.eos_token_id",
        "chat_template.rag",
        "chat_templates",
        "chat_template",
    ]
    assert max(map(sidecars.reads.count, sidecars.reads)) == 2  # tokenizer.json, by us and by the package


def test_messages_name_the_repository():
    with pytest.raises(
        CheckpointError, match=r"^org/model:tekken\.json or tokenizer\.json or tokenizer\.model is missing"
    ):
        read_vocabulary(LLAMA, Remote({}), {})
    with pytest.raises(CheckpointError, match=r"^org/model:tokenizer_config\.json is not a JSON object"):
        read_vocabulary(LLAMA, Remote({"tokenizer_config.json": b"{"}), {})
    with pytest.raises(CheckpointError, match=r"^org/model:config\.json gives vocab_size as 'a'"):
        read_vocabulary(LLAMA, Remote({}), {"vocab_size": "a"})


def test_the_vocabulary_size_of_the_language_model(tmp_path: Path):
    make_bpe(tmp_path)
    found = read_vocabulary(BPE, FolderSidecars(tmp_path), {"text_config": {"vocab_size": 281}})
    assert found.fields[2].value[280:] == ("[PAD280]",)


def test_value_types(tmp_path: Path):
    make_bpe(tmp_path)
    write_json(tmp_path, "tokenizer_config", eos_token="<|endoftext|>", add_bos_token=True)
    types = {field.key.rpartition(".")[2]: field.item_type or field.type for field in read(tmp_path).fields}
    text, number, flag = ValueType.STRING, ValueType.UINT32, ValueType.BOOL
    assert types == {
        "model": text,
        "pre": text,
        "tokens": text,
        "token_type": ValueType.INT32,
        "merges": text,
        "eos_token_id": number,
        "add_bos_token": flag,
    }
    make_sentencepiece(tmp_path)
    (scores,) = (field for field in read(tmp_path).fields if field.key.endswith("scores"))
    assert scores.item_type == ValueType.FLOAT32


def test_what_a_family_adds_may_depend(tmp_path: Path):
    make_bpe(tmp_path)
    write_json(tmp_path, "tokenizer_config", set=False, eot_token="<|endoftext|>")
    (kind,) = BPE.kinds
    number, flag = ValueType.UINT32, ValueType.BOOL
    extras = (
        Extra("tokenizer.first", flag, setting="set", first=True),
        Extra("tokenizer.unset", flag, setting="unset"),
        Extra("tokenizer.fallback", flag, setting="unset", default=True),
        Extra("tokenizer.role", number, role="eot", default=7),
        Extra("tokenizer.no_role", number, role="eom", default=7),
        Extra("tokenizer.size", number, default=1, vocab_size=300),
        Extra("tokenizer.other_size", number, default=1, vocab_size=301),
        Extra("tokenizer.kind", number, default=1, kind=kind),
        Extra("tokenizer.other_kind", number, default=1, kind=QWEN2.kinds[0]),
        Extra("tokenizer.ggml.pre", ValueType.STRING, default="mpt"),  # keeps its place
    )
    found = keys(tmp_path, Vocabulary(BPE.kinds, extras), vocab_size=300)
    assert list(found)[:3] == ["first", "ggml.model", "ggml.pre"]
    assert found["ggml.pre"] == "mpt"
    assert {key: value for key, value in found.items() if not key.startswith("ggml")} == {
        "first": False,
        "fallback": True,
        "role": 0,
        "no_role": 7,
        "size": 1,
        "kind": 1,
    }


def test_gemma_adds_that_no_space_comes_first_to_sentencepiece_alone(tmp_path: Path):
    make_bpe(tmp_path)
    assert "ggml.add_space_prefix" not in keys(tmp_path, GEMMA)
    make_sentencepiece(tmp_path)
    write_json(tmp_path, "tokenizer_config", eos_token="</s>", add_prefix_space=True, add_eos_token=True)
    found = keys(tmp_path, GEMMA)
    assert found["ggml.model"] == "llama"
    assert list(found.items())[-1] == ("ggml.add_space_prefix", False)


def test_types_of_gemmas_unused_tokens(tmp_path: Path):
    make_sentencepiece(tmp_path)
    words = {"300": "<unused0>", "301": "<mask>", "302": "[@BOS@]", "303": "<start_of_image>", "304": "▁▁"}
    decoder = {i: {"content": text, "special": False} for i, text in words.items()}
    write_json(tmp_path, "tokenizer_config", added_tokens_decoder=decoder)
    found = keys(tmp_path, GEMMA, vocab_size=306)
    control, user = TokenType.CONTROL, TokenType.USER_DEFINED
    assert found["ggml.token_type"][300:] == (control, control, control, user, user, TokenType.UNUSED)
    assert found["ggml.tokens"][304] == "  "
    assert len(keys(tmp_path, GEMMA, vocab_size=302)["ggml.tokens"]) == 302


def test_added_tokens_without_a_row_in_the_model_are_left_out(tmp_path: Path):
    make_bpe(tmp_path, AddedToken("<turn>", special=True), AddedToken("<image>", special=True))
    write_json(tmp_path, "tokenizer_config", eos_token="<turn>", pad_token="<image>")
    found = read(tmp_path, GEMMA, vocab_size=281, pre_tokenizer="gpt-2")
    values = {field.key.removeprefix("tokenizer.ggml."): field.value for field in found.fields}
    assert values["tokens"][280:] == ("<turn>",)
    assert values["eos_token_id"] == 280
    assert "padding_token_id" not in values
    assert found.notes == (
        f"Tokens beyond the model's 281 rows are left out: '<image>' (281) of {tmp_path / 'tokenizer.json'}.",
    )


@pytest.mark.parametrize(
    ("model_type", "declared", "added"),
    [
        ("qwen2", "GPT2Tokenizer", {"<|endoftext|>"}),
        ("qwen3_5_moe", "Qwen2Tokenizer", {"<|endoftext|>"}),
        ("qwen3_moe", None, {"<|endoftext|>"}),
        ("qwen3_5_text", None, {"<|endoftext|>"}),
        ("gemma3", None, {"<bos>", "<eos>", "<unk>", "<pad>", "<mask>"}),
        ("gemma3_text", "GemmaTokenizerFast", {"<bos>", "<eos>", "<unk>", "<pad>", "<mask>"}),
        ("mixtral", "GPT2Tokenizer", set()),
        ("deepseek_v3", None, set()),
        ("qwen3", "PreTrainedTokenizerFast", set()),
    ],
)
def test_the_class_of_transformers_has_tokens_of_its_own(
    tmp_path: Path, model_type: str, declared: str | None, added: set[str]
):
    make_bpe(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace("<|endoftext|>", "<|other|>"))
    write_json(tmp_path, "config", model_type=model_type)
    write_json(tmp_path, "tokenizer_config", tokenizer_class=declared)
    assert set(keys(tmp_path, BPE)["ggml.tokens"][280:]) == added


def test_a_family_may_fix_the_class(tmp_path: Path):
    make_bpe(tmp_path)
    write_json(tmp_path, "tokenizer_config", tokenizer_class="LlamaTokenizer", bos_token=None)
    write_json(tmp_path, "config", model_type="mistral")
    assert set(keys(tmp_path, replace(BPE, hf_class="GPTNeoXTokenizer"))["ggml.tokens"][280:]) == {"<|padding|>"}
    assert len(keys(tmp_path, BPE)["ggml.tokens"]) == 280
