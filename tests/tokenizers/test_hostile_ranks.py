"""Damaged and hostile tekken.json and tiktoken.model: one sentence each, that names the file, and bounded memory."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rank_cases import ranks, tekken
from tokenizer_factory import keys, read, write_json

from quantize_cli.checkpoints.sidecars import max_bytes
from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers import rank_file
from quantize_cli.tokenizers.sandbox import Limits
from quantize_cli.tokenizers.vocabularies import HUNYUAN_MOE, KIMI, LLAMA

here = pytest.mark.usefixtures("without_child")
needs_limits = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce the limit")

ABSENT = object()
NUMBERS = (-1, 0, 1.0, 1e400, True, 10**9, 10**20)
OTHERS = ("3", "", [], [1], {}, {"a": 1}, [[None]])
JUNK = (None, ABSENT, *NUMBERS, *OTHERS)

#: Path into tekken.json -> what it may hold besides, as far as it is in JUNK.
PATHS: Mapping[tuple[str | int, ...], tuple[object, ...]] = {
    ("config",): (),
    ("config", "default_vocab_size"): (),
    ("config", "default_num_special_tokens"): (),
    ("config", "version"): ("3", ""),  # the name of a version to come
    ("vocab",): (),
    ("vocab", 7): (),
    ("vocab", 7, "rank"): (),
    ("vocab", 7, "token_bytes"): (),
    ("special_tokens",): (None, ABSENT),  # versions up to v7 need not list them
    ("special_tokens", 7): (),
    ("special_tokens", 7, "rank"): (),
    ("special_tokens", 7, "token_str"): ("3", ""),
}
#: Entries that nothing reads.
UNREAD = (
    ("config", "pattern"),
    ("config", "num_vocab_tokens"),
    ("vocab", 290, "token_str"),
    ("special_tokens", 7, "is_control"),
)


def small(version: str) -> dict[str, Any]:
    """A sound tekken.json of 324 tokens, 24 of them special."""
    content = tekken(version)
    content["config"]["default_vocab_size"] = 324
    return {**content, "vocab": content["vocab"][:300]}


def with_value(path: tuple[str | int, ...], value: object, version: str = "v7") -> dict[str, Any]:
    """A sound tekken.json with another value somewhere."""
    content = small(version)
    held: Any = content
    for step in path[:-1]:
        held = held[step]
    if value is ABSENT and isinstance(held, dict):
        held.pop(path[-1], None)
    else:
        held[path[-1]] = None if value is ABSENT else value
    return content


def refusal(folder: Path, content: object) -> str:
    """The sentence with which this content of tekken.json is refused."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "tekken.json").write_bytes(body)
    with pytest.raises(CheckpointError) as caught:
        read(folder, LLAMA)
    sentence = str(caught.value)
    assert str(folder / "tekken.json") in sentence
    assert sentence.isprintable()
    assert len(sentence) < 500
    return sentence


@here
@pytest.mark.parametrize("path", PATHS, ids=lambda path: "/".join(map(str, path)))
def test_values_of_a_wrong_type(tmp_path: Path, path: tuple[str | int, ...]):
    refused = [value for value in JUNK if not any(value is good for good in PATHS[path])]
    assert len(refused) >= len(JUNK) - 2
    for value in refused:
        assert "tekken.json is not a tekken tokenizer (" in refusal(tmp_path, with_value(path, value)), value


@here
@pytest.mark.parametrize("value", [None, ABSENT, 10**20, [[None]]], ids=["null", "absent", "number", "list"])
def test_what_is_not_read_does_not_matter(tmp_path: Path, value: object):
    for path in UNREAD:
        (tmp_path / "tekken.json").write_text(json.dumps(with_value(path, value)))
        assert len(keys(tmp_path)["ggml.tokens"]) == 324


@here
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\xff\xfe\xfd", "is not a JSON object"),
        (b'{"config": ', "is not a JSON object"),
        (b"[]", "is not a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"config":' * 100_000, "nested too deeply"),
        (b'{"config": {"default_vocab_size": ' + b"9" * 5000 + b"}}", "an integer of more than 4300 digits"),
        (b'{"vocab": [], "vocab": []}', "it has the key 'vocab' 2 times"),
        (b'{"special_tokens": [{"rank": 0, "token_str": "\\ud800"}]}', "half of a surrogate pair"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:9]),
)
def test_what_is_not_json(tmp_path: Path, content: bytes, fault: str):
    assert fault in refusal(tmp_path, content)


def entry(rank: int, token: bytes | str) -> dict[str, Any]:
    """A token of tekken.json; a text stands for its own base64."""
    return {"rank": rank, "token_bytes": token if isinstance(token, str) else b64encode(token).decode()}


@here
@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("vocab", 290), entry(290, "YQ"), "the token 290 does not have its rank and its bytes in base64"),
        (("vocab", 290), entry(290, "Y*==YQ=="), "the token 290 does not have its rank and its bytes in base64"),
        (("vocab", 290), entry(290, "é"), "the token 290 does not have its rank and its bytes in base64"),
        (("vocab", 290), entry(291, b"ab"), "the token 290 does not have its rank and its bytes in base64"),
        (("vocab", 290), entry(290, b"a"), "the tokens 97 and 290 are the same"),
        (("vocab", 97), entry(97, b"\xff\xfe\xfd"), "it does not have a token for the byte 97"),
        (("vocab", 290), entry(290, b""), "the token 290 is empty"),
        (("vocab", 290), entry(290, b"\x00\xff\x00\xff"), "the token 290 does not consist of two tokens"),
        (("vocab", 290), entry(290, b"a" * (1 << 14)), "its tokens are too long"),
        (("config", "default_vocab_size"), 10**9, "must be a whole number from 1 to 1048576"),
        (("config", "default_num_special_tokens"), 10**9, "must be a whole number from 1 to 1048576"),
        (("config", "default_vocab_size"), 1 << 20, "it has 324 tokens, but default_vocab_size is 1048576"),
        (("config", "default_num_special_tokens"), 325, "default_vocab_size is 324, which is less than its 325"),
        (("config", "default_num_special_tokens"), 22, "it has 23 special tokens, but default_num_special_tokens is"),
        (("special_tokens",), [], "it does not have the special token <unk>"),
        (("special_tokens", 1), {"rank": 1, "token_str": "<bos>"}, "it does not have the special token <s>"),
        (("special_tokens", 7), {"rank": 6, "token_str": "x"}, "the special token 7 does not have its rank and a text"),
    ],
)
def test_tokens_that_are_damaged(tmp_path: Path, path: tuple[str | int, ...], value: object, fault: str):
    assert fault in refusal(tmp_path, with_value(path, value))


@here
def test_only_old_versions_leave_out_their_special_tokens(tmp_path: Path):
    fault = "it does not list its special tokens, which version 'v11' must"
    assert fault in refusal(tmp_path, with_value(("special_tokens",), ABSENT, "v11"))
    (tmp_path / "tekken.json").write_text(json.dumps(with_value(("special_tokens",), ABSENT, "v3")))
    assert keys(tmp_path)["ggml.tokens"][:3] == ("<unk>", "<s>", "</s>")


@here
def test_control_characters_in_special_tokens(tmp_path: Path):
    text = "\x1b[31m\r\u202e"
    (tmp_path / "tekken.json").write_text(json.dumps(with_value(("special_tokens", 7, "token_str"), text)))
    assert keys(tmp_path)["ggml.tokens"][7] == text
    for text in ("[INST]\0\x1b", "<unk>\0", "[ARGS]"):
        twice = refusal(tmp_path, with_value(("special_tokens", 7, "token_str"), text))
        assert "are both" in twice


def lines_of(change: Callable[[list[bytes]], object]) -> bytes:
    """tiktoken.model with some lines changed."""
    lines = [f"{entry['token_bytes']} {entry['rank']}".encode() for entry in ranks(None)[:300]]
    change(lines)
    return b"\n".join(lines)


def put(line: bytes, number: int = 291) -> Callable[[list[bytes]], object]:
    """Replace a line, numbered from 1."""
    return lambda lines: lines.__setitem__(number - 1, line)


LINE = "line 291 is not a token with the rank 290"


SOUND_LINES = lines_of(list)
#: What is wrong -> content, reason.
DAMAGED_LINES = {
    "nothing": (b"", "it does not have a token for the byte 0"),
    "newlines": (b"\n" * 100_000, "it does not have a token for the byte 0"),
    "zeros": (b"\x00" * 1000, "line 1 is not a token with the rank 0"),
    "a pickle": (b"\x80\x04\x95" * 1000, "line 1 is not a token with the rank 0"),
    "a page": (b"<!DOCTYPE html><html>", "line 1 is not a token with the rank 0"),
    "no rank": (lines_of(put(b"YWI=")), LINE),
    "three words": (lines_of(put(b"YWI= 290 1")), LINE),
    "the next rank": (lines_of(put(b"YWI= 291")), LINE),
    "the last rank": (lines_of(put(b"YWI= 289")), LINE),
    "a zero in front": (lines_of(put(b"YWI= 0290")), LINE),
    "a negative rank": (lines_of(put(b"YWI= -290")), LINE),
    "an exponent": (lines_of(put(b"YWI= 29e1")), LINE),
    "other digits": (lines_of(put("YWI= ٢٩٠".encode())), LINE),
    "many digits": (lines_of(put(b"YWI= " + b"9" * 100_000)), LINE),
    "a gap": (lines_of(lambda lines: lines.pop(290)), LINE),
    "a line twice": (lines_of(lambda lines: lines.insert(290, lines[289])), LINE),
    "no padding": (lines_of(put(b"YQ 290")), "line 291 is not base64"),
    "a star": (lines_of(put(b"Y*== 290")), "line 291 is not base64"),
    "bytes": (lines_of(put(b"\xff\xff 290")), "line 291 is not base64"),
    "a token twice": (lines_of(put(b"YQ== 290")), "the tokens 97 and 290 are the same"),
    "no letter a": (lines_of(put(b"/v79 97", 98)), "it does not have a token for the byte 97"),
    "a long token": (lines_of(put(b64encode(b"a" * (1 << 14)) + b" 290")), "its tokens are too long"),
}


@here
@pytest.mark.parametrize(("content", "fault"), DAMAGED_LINES.values(), ids=DAMAGED_LINES)
@pytest.mark.parametrize(("name", "vocabulary"), [("tiktoken.model", KIMI), ("hy.tiktoken", HUNYUAN_MOE)])
def test_lines_that_are_damaged(tmp_path: Path, name: str, vocabulary: Any, content: bytes, fault: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path, vocabulary)
    where = tmp_path / name
    assert str(caught.value) == f"{where} is not a file of tiktoken's ranks ({fault}); download it again."


@here
def test_more_ranks_than_any_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quantize_cli.tokenizers.child.tiktoken._MAX_RANKS", 299)
    (tmp_path / "tiktoken.model").write_bytes(SOUND_LINES)
    with pytest.raises(CheckpointError, match=r"tiktoken\.model .*it has more than 299 tokens"):
        read(tmp_path, KIMI)


@here
@pytest.mark.parametrize("size", [10**9, -1, "280"])
def test_a_vocabulary_size_that_no_tokenizer_has(tmp_path: Path, size: object):
    (tmp_path / "tiktoken.model").write_bytes(SOUND_LINES)
    with pytest.raises(CheckpointError, match=r"config\.json gives vocab_size as"):
        read(tmp_path, KIMI, vocab_size=size)


@here
@pytest.mark.parametrize("content", [None, 1, [], {}, ["x"]])
def test_special_tokens_behind_the_ranks_without_a_text(tmp_path: Path, content: object):
    (tmp_path / "tiktoken.model").write_bytes(SOUND_LINES)
    write_json(tmp_path, "tokenizer_config", added_tokens_decoder={"301": {"content": content}})
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json does not give the text of the added token 301"):
        read(tmp_path, KIMI)


def test_the_process_reads_what_this_one_would(tmp_path: Path, request: pytest.FixtureRequest):
    folders = {"tekken.json": LLAMA, "tiktoken.model": KIMI}
    (tmp_path / "tekken.json").write_text(json.dumps(small("v3")))
    (tmp_path / "tiktoken.model").write_bytes(SOUND_LINES)
    found = [keys(tmp_path, vocabulary) for vocabulary in folders.values()]
    assert [len(each["ggml.tokens"]) for each in found] == [324, 558]
    request.getfixturevalue("without_child")
    assert [keys(tmp_path, vocabulary) for vocabulary in folders.values()] == found


@needs_limits
def test_json_that_is_small_on_the_disk_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rank_file, "_limits", lambda _: Limits(seconds=10, mebibytes=64))
    nested = '{"":' * 400 + "0" + "}" * 400
    fault = refusal(tmp_path, ('{"vocab": [' + ",".join([nested] * 900) + "]}").encode())
    assert "takes more than 64 MiB of memory to read, which is too much for its size" in fault


def test_limits_grow_with_the_file():
    kimi, largest = rank_file._limits(2_800_000), rank_file._limits(max_bytes("tekken.json"))
    assert kimi == Limits(17, 192)
    assert largest == Limits(140, 1664)
