"""Encoding in the other process: what a damaged tokenizer or a hostile template does becomes one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizer_factory import make_bpe, make_llama_json, write_json
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import CheckpointError, UnsupportedError, UsageError
from quantize_cli.tokenizers import encoding
from quantize_cli.tokenizers.encoding import Encoded, Template, encode
from quantize_cli.tokenizers.sandbox import Limits

USER = [[{"role": "user", "content": "the fox"}]]


def encoded(folder: Path, *streams: Any, template: str | None = None, size: int = 1000, **names: str) -> list[Encoded]:
    made = None if template is None else Template(template, names)
    return list(encode(FolderSidecars(folder), streams, made, size=size, hf_class=None))


def text_of(folder: Path, found: Encoded) -> str:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return tokenizer.decode(found.tokens.tolist(), skip_special_tokens=False)


@pytest.fixture
def bpe(tmp_path: Path) -> Path:
    make_bpe(tmp_path, AddedToken("<turn>", special=True))
    return tmp_path


def test_special_tokens_are_such_in_conversations_alone(bpe: Path):
    pytest.importorskip("jinja2")
    template = "{% for m in messages %}{{ bos_token }}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    text, chat = encoded(bpe, "<turn>the fox", USER, template=template, bos_token="<turn>")
    turn = 280
    assert turn not in text.tokens
    assert chat.tokens[0] == turn
    assert text_of(bpe, text) == "<turn>the fox"
    assert text_of(bpe, chat) == "<turn>user: the fox\n"


def test_the_conventions_of_transformers_hold(bpe: Path):
    pytest.importorskip("jinja2")
    template = """\
{%- set ns = namespace(n=0) -%}
{% for m in messages %}
    {% if loop.index > 1 %}{% break %}{% endif %}
    {% generation %}{{ m | tojson }} <{{ strftime_now("%Y") }}>{% endgeneration %}
{% endfor %}
{{ undefined_name }}{% if tools is not none %}tools{% endif %}"""
    (found,) = encoded(bpe, USER, template=template)
    assert text_of(bpe, found).strip() == '{"role": "user", "content": "the fox"} <2025>'


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no') }}",
        "{% for %}",
        "{{ messages[0]['content'].__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ 1 / 0 }}",
    ],
)
def test_templates_that_fail_or_reach_out_are_refused(bpe: Path, template: str):
    pytest.importorskip("jinja2")
    with pytest.raises(CheckpointError, match=r"chat template of .* fails on a plain conversation .*--text FILE"):
        encoded(bpe, USER, template=template)


@pytest.mark.parametrize(
    ("template", "match"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "takes more than 1 s"),
        ("{{ 'x' * 10 ** 10 }}", "MiB of memory"),
    ],
)
def test_templates_without_end_are_ended(bpe: Path, monkeypatch: pytest.MonkeyPatch, template: str, match: str):
    pytest.importorskip("jinja2")
    monkeypatch.setattr(encoding, "_limits", lambda *_, **__: Limits(1, 200))
    with pytest.raises(CheckpointError, match=f"with the chat template and the texts, .*{match}"):
        encoded(bpe, USER, template=template)


def test_unknown_tokens_are_counted(tmp_path: Path):
    pytest.importorskip("jinja2")
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "fox": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<unk>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    text, chat = encoded(tmp_path, "the dog fox dog", USER, template="<unk> {{ messages[0]['content'] }} cat")
    assert (text.tokens.tolist(), text.unknown) == ([1, 0, 2, 0], 2)
    assert (chat.tokens.tolist(), chat.unknown) == ([0, 1, 2, 0], 1)  # the template spells one of them


def test_a_byte_fallback_knows_everything(tmp_path: Path):
    make_llama_json(tmp_path)
    (found,) = encoded(tmp_path, "Ж")
    assert (found.tokens.tolist(), found.unknown) == ([3 + 0xD0, 3 + 0x96], 0)


def test_tokens_beyond_the_model_are_refused(bpe: Path):
    with pytest.raises(CheckpointError, match=r"makes the token \d+ of a text, but the model has 10 tokens"):
        encoded(bpe, "the fox", size=10)


def test_a_model_without_tokenizer_json_is_refused(tmp_path: Path):
    with pytest.raises(UnsupportedError, match=r"tokenizer\.json is missing, .*save_pretrained"):
        encoded(tmp_path, "the fox")


def test_a_damaged_tokenizer_is_refused(tmp_path: Path):
    write_json(tmp_path, "tokenizer", model={"type": "BPE", "vocab": 3})
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not a tokenizer .*download it again"):
        encoded(tmp_path, "the fox")


def test_templates_need_jinja_and_texts_do_not(bpe: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoding, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"install it: pip install 'quantize-cli\[calibrate\]'"):
        encoded(bpe, USER, template="{{ messages }}")
    (found,) = encoded(bpe, "the fox", template="{{ messages }}")
    assert text_of(bpe, found) == "the fox"
