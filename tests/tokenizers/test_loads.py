"""What is accepted, llama.cpp loads; what is refused for its sake, it does not load."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_tokenizer import loads
from oracle.ggml import needs_ggml
from sentencepiece_file import BYTE, CONTROL, NORMAL, UNKNOWN, write_model
from tokenizer_factory import keys, make_bpe, make_llama_json, make_sentencepiece, read, write_json
from tokenizers import AddedToken

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers import vocabulary
from quantize_cli.tokenizers.vocabularies import BPE, LLAMA

pytestmark = pytest.mark.usefixtures("without_child")


def with_token(folder: Path, *texts: str) -> None:
    """Write the tokenizer.json of a BPE tokenizer with further tokens in its vocabulary."""
    content = make_bpe(folder)
    content["model"]["vocab"] |= {text: 280 + i for i, text in enumerate(texts)}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def without_merges(folder: Path) -> None:
    content = make_bpe(folder)
    content["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(content))


def twice_in_added_tokens(folder: Path) -> None:
    make_sentencepiece(folder)
    write_json(folder, "added_tokens", **{"<s>": 300})


REFUSED: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "added tokens that are decoded to one text": (
        lambda folder: make_bpe(folder, AddedToken("Ġx", normalized=False), AddedToken(" x")),
        {"rows": 282},
        r"The tokens 280 of .*tokenizer\.json and 281 of .*tokenizer\.json are both ' x' to llama\.cpp",
    ),
    "a token with the text of padding": (
        lambda folder: with_token(folder, "[PAD281]"),
        {"rows": 282},
        r"280 of .* and 281 of .* are both '\[PAD281\]'",
    ),
    "a token that ends at a zero byte": (
        lambda folder: with_token(folder, "a\0b"),
        {},
        r"are both 'a\\x00b' to llama\.cpp",
    ),
    "a token with the text of an empty one": (
        lambda folder: with_token(folder, "\0", "[EMPTY_280]"),
        {},
        r"are both '\[EMPTY_280\]'",
    ),
    "a piece that is added once more": (
        twice_in_added_tokens,
        {"rows": 301},
        r"The tokens 1 of .*tokenizer\.model and 300 of .*added_tokens\.json are both '<s>'",
    ),
    "a byte without a name": (
        lambda folder: write_model(folder, ("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("x", 0.0, BYTE)),
        {},
        r"tokenizer\.model marks the token 'x' with the id 2 as a byte",
    ),
    "a byte whose name ends at a zero byte": (
        lambda folder: write_model(folder, ("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("<\0x0A>", 0.0, BYTE)),
        {},
        r"tokenizer\.model marks the token '<' with the id 2 as a byte",
    ),
    "BPE without merges": (without_merges, {}, r"tokenizer\.json does not have merges, which BPE needs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str):
    make, options, sentence = REFUSED[name]
    make(tmp_path)
    with pytest.raises(CheckpointError, match=sentence):
        read(tmp_path, **options)


@needs_ggml
@pytest.mark.parametrize("name", REFUSED)
def test_llama_cpp_does_not_load_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    make, options, _ = REFUSED[name]
    make(tmp_path)
    monkeypatch.setattr(vocabulary, "check_loads", lambda *_: None)
    assert not loads(read(tmp_path, **options).fields, tmp_path / "x.gguf")


ACCEPTED: dict[str, Callable[[Path], Any]] = {
    "bpe": make_bpe,
    "llama in tokenizer.json": make_llama_json,
    "pieces": make_sentencepiece,
    "a zero byte": lambda folder: with_token(folder, "\0", "zz\0x"),
    "empty pieces": lambda folder: write_model(folder, ("<unk>", 0.0, UNKNOWN), ("", 0.0, NORMAL), ("", 1.0, NORMAL)),
    "one piece": lambda folder: write_model(folder, ("a", 0.0, NORMAL)),
    "a byte of another spelling": lambda folder: write_model(folder, ("<0xz>", 0.0, BYTE), ("é!", 0.0, BYTE)),
    "scores that are not numbers": lambda folder: write_model(
        folder, ("a", math.nan, NORMAL), ("b", -math.inf, NORMAL)
    ),
}


@needs_ggml
@pytest.mark.parametrize("rows", [None, 400])
@pytest.mark.parametrize("name", ACCEPTED)
def test_llama_cpp_loads_what_is_accepted(tmp_path: Path, name: str, rows: int | None):
    ACCEPTED[name](tmp_path)
    found = read(tmp_path, rows=rows)
    tokens = next(field.value for field in found.fields if field.key == "tokenizer.ggml.tokens")
    assert rows is None or len(tokens) == rows
    assert loads(found.fields, tmp_path / "x.gguf")


@pytest.mark.parametrize("make", [make_bpe, make_llama_json, make_sentencepiece])
@pytest.mark.parametrize("vocab_size", [None, 400, 500])
def test_as_many_tokens_as_rows(tmp_path: Path, make: Callable[[Path], Any], vocab_size: int | None):
    make(tmp_path)
    found = keys(tmp_path, rows=400, vocab_size=vocab_size)
    assert len(found["ggml.tokens"]) == len(found["ggml.token_type"]) == 400
    assert len(found.get("ggml.scores", [0.0] * 400)) == 400
    assert found["ggml.tokens"][-1] == "[PAD399]"


NAMED = {
    "added_tokens": {"<pad>": 262},
    "special_tokens_map": {"pad_token": "<pad>"},
    "tokenizer_config": {"pad_token": "<pad>"},
}


@pytest.mark.parametrize("file", NAMED)
@pytest.mark.parametrize(("make", "rows"), [(make_bpe, 280), (make_llama_json, 262)])
def test_a_token_without_a_row_that_another_file_names(tmp_path: Path, make: Callable[..., Any], rows: int, file: str):
    make(tmp_path)
    write_json(tmp_path, file, **NAMED[file])
    found = read(tmp_path, LLAMA, rows=rows, vocab_size=rows)
    values = {field.key: field.value for field in found.fields}
    assert len(values["tokenizer.ggml.tokens"]) == rows
    assert "tokenizer.ggml.padding_token_id" not in values
    sentence = f"Tokens beyond the model's {rows} rows are left out: '<pad>' ({rows}) of {tmp_path / file}.json."
    assert sentence in found.notes


def test_tokens_of_a_class_name_the_class(tmp_path: Path):
    make_bpe(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace("<|endoftext|>", "<|other|>"))
    write_json(tmp_path, "config", model_type="qwen3")
    (note,) = read(tmp_path, BPE, rows=280).notes
    assert note.endswith("'<|endoftext|>' (280) of the class Qwen2Tokenizer of transformers.")


def test_pieces_without_a_row(tmp_path: Path):
    processor = make_sentencepiece(tmp_path)
    write_json(tmp_path, "added_tokens", **{"<a>": 299, "<b>": 310})
    (note,) = read(tmp_path, rows=298).notes
    where, text = tmp_path / "tokenizer.model", repr(processor.IdToPiece(298))
    assert note == (
        f"Tokens beyond the model's 298 rows are left out: {text} (298) of {where}, "
        f"'<a>' (299) of {tmp_path / 'added_tokens.json'}, '<b>' (310) of {tmp_path / 'added_tokens.json'}."
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rows": 261}, "because token_embd.weight has 261 rows; take"),
        ({"rows": 261, "vocab_size": 261}, "because vocab_size is 261; take"),
    ],
)
def test_an_ordinary_token_without_a_row(tmp_path: Path, options: dict[str, Any], sentence: str):
    make_llama_json(tmp_path)
    where = tmp_path / "tokenizer.json"
    with pytest.raises(CheckpointError, match=f"^{where} has the token '▁a' with the id 261, .*{sentence}"):
        read(tmp_path, **options)


def test_a_gap_in_the_ids(tmp_path: Path):
    make_llama_json(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["model"]["vocab"]["▁a"] = 300
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json does not have a token with the id 261"):
        read(tmp_path, rows=400)


def test_two_tokens_with_one_id(tmp_path: Path):
    content = make_bpe(tmp_path)
    content["model"]["vocab"]["zzz"] = 97
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    text = next(text for text, i in content["model"]["vocab"].items() if i == 97)
    with pytest.raises(CheckpointError, match=rf"tokenizer\.json gives '{text}' and 'zzz' the same id, 97"):
        read(tmp_path, rows=400)


@pytest.mark.parametrize("make", [make_bpe, make_sentencepiece])
def test_more_rows_than_any_vocabulary_has_tokens(tmp_path: Path, make: Callable[[Path], Any]):
    make(tmp_path)
    with pytest.raises(CheckpointError, match=r"The embedding has 16,777,216 rows, but .* at most 1,048,576 tokens"):
        read(tmp_path, rows=1 << 24)
