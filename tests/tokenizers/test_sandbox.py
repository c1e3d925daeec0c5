"""tokenizer.json in a process of its own: whatever happens there becomes one sentence here."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from errno import EAGAIN
from pathlib import Path
from threading import get_ident
from typing import Any, NoReturn

import pytest
from tokenizer_factory import keys, make_bpe, make_sentencepiece, write_json
from tokenizers import AddedToken

from quantize_cli.errors import CheckpointError, QuantizeError
from quantize_cli.tokenizers import sandbox, tokenizer_file
from quantize_cli.tokenizers.sandbox import Limits, in_child, meanwhile

#: Steps that make the text longer by a thousand letters each.
PREPENDS = [{"type": "Prepend", "prepend": "x" * 1000}] * 2000


def with_parts(folder: Path, **parts: Any) -> None:
    """Write the tokenizer.json of a sound tokenizer with some parts replaced."""
    content = make_bpe(folder)
    (folder / "tokenizer.json").write_text(json.dumps({**content, **parts}))


def charsmap(content: bytes) -> dict[str, Any]:
    return {"type": "Precompiled", "precompiled_charsmap": b64encode(content).decode()}


def several(*normalizers: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(normalizers)}


def limited(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    monkeypatch.setattr(tokenizer_file, "_limits", lambda _: limits)


def test_the_process_reads_what_this_one_would(tmp_path: Path, request: pytest.FixtureRequest):
    make_bpe(tmp_path, AddedToken("<turn>", special=True), AddedToken("Ġx", normalized=False))
    write_json(tmp_path, "tokenizer_config", pad_token="<pad>", eos_token="<turn>")
    found = keys(tmp_path)
    assert found["ggml.tokens"][280:] == ("<turn>", " x", "<pad>")
    assert found["ggml.pre"] == "gpt-2"
    request.getfixturevalue("without_child")
    assert keys(tmp_path) == found


def test_the_library_ends_its_process(tmp_path: Path):
    with_parts(tmp_path, normalizer=charsmap(b"\xff" * 20))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json, .*, crashes .* \(SIGABRT\); download it again"):
        keys(tmp_path)


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": charsmap(b"\x10\0\0\0" + b"\xff" * 16)},
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
        {
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {},
            }
        },
        # retries of this pattern end at the library's own limit, by a plain Exception
        {
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"Regex": r"^(([^Q])+.)+[1-9]([^Q]+)+$\b\B"},
                "behavior": "Isolated",
                "invert": False,
            }
        },
    ],
    ids=["charsmap", "no length", "no such token", "pattern"],
)
def test_the_library_panics_or_fails(tmp_path: Path, parts: dict[str, Any]):
    with_parts(tmp_path, **parts)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json fails in the library that reads it \('.*'\); download"):
        keys(tmp_path)


def test_a_prefix_that_no_merge_has(tmp_path: Path):
    content = make_bpe(tmp_path)
    model = {**content["model"], "continuing_subword_prefix": "##"}
    (tmp_path / "tokenizer.json").write_text(json.dumps({**content, "model": model}))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json (fails in the library|is not a tokenizer)"):
        keys(tmp_path)


def test_work_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with_parts(tmp_path, normalizer=several(*PREPENDS))
    limited(monkeypatch, Limits(seconds=1, mebibytes=512))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json, .*, takes more than 1 s to read.* a source you trust"):
        keys(tmp_path)


def test_waiting_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_bpe(tmp_path)
    monkeypatch.setattr(sandbox, "_START", "import time; time.sleep(3600)")
    monkeypatch.setattr(sandbox, "_PATIENCE", 0)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json, with .* beside it, has not been read after 0 s; run"):
        keys(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce the limit")
def test_a_text_that_doubles(tmp_path: Path):
    doubling = {"type": "Replace", "pattern": {"String": " "}, "content": "  "}
    with_parts(tmp_path, normalizer=several(*[doubling] * 40))
    with pytest.raises(CheckpointError, match=r"or takes more than 128 MiB of memory \(SIGABRT\)"):
        keys(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce the limit")
@pytest.mark.parametrize("beside", [True, False], ids=["beside tokenizer.model", "alone"])
def test_json_that_is_small_on_the_disk_alone(tmp_path: Path, beside: bool):
    if beside:
        make_sentencepiece(tmp_path)
    nested = '{"":' * 400 + "0" + "}" * 400
    (tmp_path / "tokenizer.json").write_text('{"a": [' + ",".join([nested] * 4900) + "]}")
    assert (tmp_path / "tokenizer.json").stat().st_size < 10 << 20
    with pytest.raises(CheckpointError, match=r"tokenizer\.json, .*, takes more than 3\d\d MiB of memory to read"):
        keys(tmp_path)


def test_a_system_without_room_for_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object, **options: object) -> NoReturn:
        raise BlockingIOError(EAGAIN, "Resource temporarily unavailable")

    make_bpe(tmp_path)
    monkeypatch.setattr("subprocess.Popen.__init__", full)
    monkeypatch.setattr("subprocess.Popen.__del__", lambda _: None)
    with pytest.raises(QuantizeError, match=r"does not start one \(Resource temporarily unavailable\); raise"):
        keys(tmp_path)


def test_modules_of_the_current_folder_are_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_bpe(tmp_path)
    for name in ("json", "re", "resource", "tokenizers", "quantize_cli", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend("")
    assert len(keys(tmp_path)["ggml.tokens"]) == 280


def test_a_process_that_answers_nothing():
    with pytest.raises(CheckpointError, match=r"^x crashes what reads it.*\(exit status 1\)"):
        in_child(b"no newline", "x", Limits(5, 128), ("tokenizers",))


def test_limits_grow_with_the_file():
    small, large = tokenizer_file._limits(10_000_000), tokenizer_file._limits(33_400_000)
    assert small.seconds < 10
    assert small.mebibytes < 512 - 100  # this process has its share
    assert large == Limits(19, 892)


def test_work_is_done_once_while_the_process_works(tmp_path: Path):
    make_bpe(tmp_path)
    threads: list[int] = []
    with meanwhile(lambda: threads.append(get_ident())):
        assert threads == []
        keys(tmp_path)
        keys(tmp_path)
    keys(tmp_path)
    assert len(threads) == 1
    assert threads[0] != get_ident()


def test_where_no_thread_is_to_be_had_the_work_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def none(_thread: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    make_bpe(tmp_path)
    monkeypatch.setattr(sandbox.Thread, "start", none)
    with meanwhile(lambda: pytest.fail("the work has begun")):
        assert keys(tmp_path)
