"""Tokens of texts and conversations, by real tokenizers in their own process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import Field, ValueType, field
from quantize_cli.texts.encoder import ModelEncoder, encoder_of
from quantize_cli.texts.files import documents_of_files
from quantize_cli.texts.model import Document, Turn
from quantize_cli.texts.sequences import sequences
from quantize_cli.tokenizers import vocabularies
from quantize_cli.tokenizers.vocabulary import read_vocabulary

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
TOKENIZERS = ROOT / "tests" / "golden" / "families" / "tokenizers"
#: Case -> folder and pre-tokenizer, as in golden/PROVENANCE.md.
CASES = {
    "example": (ROOT / "examples" / "shakespeare-llama", "gpt-2"),
    "smollm2": (TOKENIZERS / "smollm2", "smollm"),
    "llama3_1": (TOKENIZERS / "llama3_1", "llama-bpe"),
    "mistral-7b-v0.3": (TOKENIZERS / "mistral-7b-v0.3", None),
}


def fields_of(case: str) -> tuple[Field, ...]:
    folder, pre_tokenizer = CASES[case]
    return read_vocabulary(vocabularies.LLAMA, FolderSidecars(folder), {}, pre_tokenizer).fields


def encoder(case: str) -> ModelEncoder:
    return encoder_of(FolderSidecars(CASES[case][0]), fields_of(case))


@pytest.mark.parametrize("case", CASES)
def test_the_tokens_of_a_file_are_llama_perplexitys(case):
    golden = json.loads((GOLDEN / f"{case}.json").read_text())
    mine = encoder(case)
    found = sequences(documents_of_files([GOLDEN / "text.txt"]), mine, 64)
    assert mine.bos == golden["bos"]
    assert len(golden["rows"]) >= 2
    assert found.tokens.tolist() == golden["rows"]
    assert found.kinds == ("text",) * len(golden["rows"])


def conversation(*turns: tuple[str, str]) -> Document:
    return Document("greeting", "chat", tuple(Turn(role, content) for role, content in turns))


def test_a_conversation_is_spelled_by_the_template():
    pytest.importorskip("jinja2")
    mine = encoder("smollm2")
    (encoded,) = mine.encode([[conversation(("system", "Be brief."), ("user", "Hi"))]])
    (plain,) = mine.encode([[Document("text", "text", "<|im_start|>")]])
    start = mine.encode([[conversation(("user", "Hi"))]])[0].tokens[0]
    assert encoded.tokens.tolist().count(start) == 2  # one for each turn
    assert start not in plain.tokens  # in a text it is not a special token


def test_a_template_that_refuses_a_system_turn_gets_it_in_the_users():
    pytest.importorskip("jinja2")
    (user,) = encoder("mistral-7b-v0.3").encode([[conversation(("user", "Be brief.\n\nHi"), ("assistant", "Hi!"))]])
    turns = (("system", "Be brief."), ("user", "Hi"), ("assistant", "Hi!"))
    (system,) = encoder("mistral-7b-v0.3").encode([[conversation(*turns)]])
    assert system.tokens.tolist() == user.tokens.tolist()
    assert len(user.tokens) > 5


def test_without_a_template_conversations_are_plain_text():
    mine = encoder("example")
    assert mine.template is None
    spelled = "User: Hi\n\nAssistant: Hello\n\nUser: Bye"
    chat = [conversation(("user", "Hi"), ("assistant", "Hello")), conversation(("user", "Bye"))]
    one, two = mine.encode([chat, [Document("text", "text", spelled)]])
    assert one.tokens.tolist() == two.tokens.tolist()


def changed(case: str, **values: object) -> list[Field]:
    """The fields with some of `tokenizer.ggml.*` replaced; None leaves one out."""
    kept = [one for one in fields_of(case) if one.key.removeprefix("tokenizer.ggml.") not in values]
    kinds = {str: ValueType.STRING, bool: ValueType.BOOL}
    return kept + [
        field(f"tokenizer.ggml.{key}", kinds[type(value)], value) for key, value in values.items() if value is not None
    ]


@pytest.mark.parametrize(
    ("values", "adds"),
    [
        ({"add_bos_token": False}, False),
        ({"add_bos_token": None}, False),
        ({"add_bos_token": None, "pre": "llama-bpe"}, True),
        ({"add_bos_token": None, "model": "llama"}, True),
        ({"add_bos_token": False, "model": "llama"}, False),
        ({"add_bos_token": False, "pre": "gemma4"}, True),
    ],
)
def test_bos_is_added_where_llama_cpp_adds_it(values, adds):
    sidecars = FolderSidecars(CASES["example"][0])
    assert encoder_of(sidecars, changed("example", **values)).bos == (0 if adds else None)


def test_a_model_without_a_vocabulary_is_refused():
    with pytest.raises(CheckpointError, match="does not become a vocabulary"):
        encoder_of(FolderSidecars(CASES["example"][0]), ())
