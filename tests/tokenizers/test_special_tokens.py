"""Special token ids, flags, chat templates: what the small files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizer_factory import keys, make_bpe, write_json
from tokenizers import AddedToken

pytestmark = pytest.mark.usefixtures("without_child")

BOS, EOS, SEP, TURN = "<bos>", "<eos>", "<sep>", "<turn>"  # ids 280 and on
VOCABULARY_KEYS = {"ggml.model", "ggml.pre", "ggml.tokens", "ggml.token_type", "ggml.merges"}

A, B = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}


def special(token: str) -> dict[str, Any]:
    """A special token in a template."""
    return {"SpecialToken": {"id": token, "type_id": 0}}


def template(single: list[Any], pair: list[Any]) -> dict[str, Any]:
    """A TemplateProcessing post-processor."""
    tokens = {token: {"id": token, "ids": [0], "tokens": [token]} for token in (BOS, EOS, SEP, TURN)}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


@pytest.fixture
def found(tmp_path: Path):
    """A function from the files' contents to the keys after the vocabulary's, in their order."""

    def write_and_read(tokenizer: dict[str, Any] | None = None, **files: dict[str, Any]) -> dict[str, Any]:
        content = make_bpe(tmp_path, *(AddedToken(token, special=True) for token in (BOS, EOS, SEP, TURN)))
        (tmp_path / "tokenizer.json").write_text(json.dumps({**content, **(tokenizer or {})}))
        for name, body in files.items():
            write_json(tmp_path, name, **body)
        return {
            key: value for key, value in keys(tmp_path, pre_tokenizer="gpt-2").items() if key not in VOCABULARY_KEYS
        }

    return write_and_read


def test_ids_by_name_then_by_number(found):
    config = {"eos_token_id": 3, "pad_token_id": 5, "bos_token_id": [1, 2], "text_config": {"unk_token_id": 7}}
    names = {"bos_token": BOS, "eos_token": {"content": EOS}, "sep_token": None, "cls_token": "<not there>"}
    ids = found(tokenizer_config=names, config=config)
    assert list(ids.items()) == [
        ("ggml.bos_token_id", 280),
        ("ggml.eos_token_id", 281),
        ("ggml.unknown_token_id", 7),
        ("ggml.padding_token_id", 5),
    ]


@pytest.mark.parametrize("token_id", [-1, 1 << 32, "7", None])
def test_impossible_ids_are_left_out(found, token_id):
    assert found(config={"bos_token_id": token_id}) == {}


def test_flags_of_tokenizer_config(found):
    flags = found(tokenizer_config={"add_bos_token": True, "add_eos_token": False, "add_mask_token": True})
    assert flags == {"ggml.add_bos_token": True, "ggml.add_eos_token": False}


def test_the_post_processor_stands_above_the_flags_of_tokenizer_config(found):
    flags = found({"post_processor": BYTE_LEVEL}, tokenizer_config={"add_bos_token": True})
    assert flags == {"ggml.add_bos_token": False, "ggml.add_eos_token": False}


def test_a_template_adds_what_stands_at_its_ends(found):
    bos, eos, sep = special(BOS), special(EOS), special(SEP)
    post_processor = template([bos, A, eos], [bos, A, sep, B, eos])
    flags = found({"post_processor": post_processor}, tokenizer_config={"bos_token": BOS, "eos_token": EOS})
    assert flags["ggml.add_bos_token"] is True
    assert flags["ggml.add_eos_token"] is True
    assert flags["ggml.add_sep_token"] is False


def test_a_template_behind_a_byte_level_step(found):
    bos = special(BOS)
    steps = [BYTE_LEVEL, template([bos, A], [bos, A, bos, B])]
    flags = found({"post_processor": {"type": "Sequence", "processors": steps}}, tokenizer_config={"bos_token": BOS})
    assert list(flags.items()) == [
        ("ggml.bos_token_id", 280),
        ("ggml.add_bos_token", True),
        ("ggml.add_eos_token", False),
        ("ggml.add_sep_token", False),
    ]


def test_a_template_that_ends_in_another_token_than_eos_makes_that_the_end_of_a_turn(found):
    post_processor = template([A, special(EOS)], [A, B, special(EOS)])
    ids = found({"post_processor": post_processor}, tokenizer_config={"eos_token": TURN})
    assert ids == {"ggml.eos_token_id": 281, "ggml.eot_token_id": 283, "ggml.add_eos_token": True}


def test_a_template_names_a_bos_token_that_tokenizer_config_does_not(found):
    post_processor = template([special(BOS), A], [special(BOS), A, B])
    flags = found({"post_processor": post_processor}, tokenizer_config={"eos_token": EOS})
    assert flags == {"ggml.bos_token_id": 280, "ggml.eos_token_id": 281, "ggml.add_bos_token": True}


def test_a_separator_between_two_texts(found):
    post_processor = template([special(BOS), A], [special(BOS), A, special(SEP), B])
    flags = found({"post_processor": post_processor}, tokenizer_config={"bos_token": BOS, "sep_token": SEP})
    assert flags["ggml.add_sep_token"] is True
    assert flags["ggml.eos_token_id"] == flags["ggml.seperator_token_id"] == 282


def test_roberta_adds_all_three(found):
    post_processor = {"type": "RobertaProcessing", "cls": [BOS, 280], "sep": [EOS, 281], "trim_offsets": True}
    flags = found({"post_processor": {**post_processor, "add_prefix_space": True}}, tokenizer_config={"eos_token": EOS})
    assert flags == {
        "ggml.eos_token_id": 281,
        "ggml.seperator_token_id": 281,
        "ggml.add_bos_token": True,
        "ggml.add_eos_token": True,
        "ggml.add_sep_token": True,
    }


def test_normalizer_flags(found):
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
    steps = [{"type": "StripAccents"}, {**bert, "lowercase": False}]
    flags = found({"normalizer": {"type": "Sequence", "normalizers": steps}})
    assert flags == {"ggml.normalizer.strip_accents": True, "ggml.normalizer.lowercase": False}


def test_chat_template_of_tokenizer_config_comes_first(found, tmp_path: Path):
    (tmp_path / "chat_template.jinja").write_text("{{ file }}")
    assert found(tokenizer_config={"chat_template": "{{ config }}"}) == {"chat_template": "{{ config }}"}
    assert found(tokenizer_config={"chat_template": None}) == {}
    assert found(tokenizer_config={"model_max_length": 5}) == {"chat_template": "{{ file }}"}


def test_chat_template_json(found):
    template = {"chat_template": "{{ json }}"}
    assert found(tokenizer_config={"model_max_length": 5}, chat_template=template) == template


def test_several_chat_templates(found):
    templates = [
        {"name": "default", "template": "a"},
        {"name": "tool use", "template": "b"},
        {"name": "rag", "template": "c"},
        {"name": "empty"},
    ]
    assert list(found(tokenizer_config={"chat_template": templates}).items()) == [
        ("chat_template.tool_use", "b"),
        ("chat_template.rag", "c"),
        ("chat_templates", ("tool_use", "rag")),
        ("chat_template", "a"),
    ]


def test_additional_chat_template_files(found, tmp_path: Path):
    (tmp_path / "chat_template.jinja").write_text("a")
    (tmp_path / "additional_chat_templates").mkdir()
    for name in ("z", "b"):
        (tmp_path / "additional_chat_templates" / f"{name}.jinja").write_text(name)
    assert found(tokenizer_config={"model_max_length": 5}) == {
        "chat_template.b": "b",
        "chat_template.z": "z",
        "chat_templates": ("b", "z"),
        "chat_template": "a",
    }
