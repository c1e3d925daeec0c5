"""Whatever is wrong with a model or its place: one sentence, exit code 1, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from command_line import USUAL, sentence
from huggingface_hub import constants
from safetensors.numpy import load_file, save_file

FORMAT = ("--format", "q8_0")


def edit_json(path: Path, **values: Any) -> None:
    """Set keys of a JSON object; None removes one."""
    content = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def edit_header(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the safetensors header and leave the data as they are."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])


def cut(folder: Path, size: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])


def set_weight(folder: Path, name: str, index: tuple[int, ...], value: float) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[name][index] = value
    save_file(weights, folder / "model.safetensors")


def shard(folder: Path) -> None:
    """The same folder, in three shards with an index."""
    shutil.rmtree(folder)
    make_checkpoint(folder, shards=3)


def drop_tensor(folder: Path, name: str) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors")


def missing_shard(folder: Path) -> None:
    shard(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()


def absent_tensor(folder: Path) -> None:
    shard(folder)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.layers.7.extra.weight"] = "model-00001-of-00003.safetensors"
    path.write_text(json.dumps(index))


Q = "model.layers.0.self_attn.q_proj.weight"

#: How to break a checkpoint -> what the sentence must say.
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "tiny does not exist"),
    "no safetensors": (lambda f: (f / "model.safetensors").unlink(), "tiny does not hold model.*safetensors"),
    "other weights": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "pytorch_model.bin.*safetensors",
    ),
    "empty file": (lambda f: cut(f, 0), "model.safetensors is empty"),
    "cut in the header": (lambda f: cut(f, 100), "model.safetensors is not complete.*missing"),
    "cut in the data": (lambda f: cut(f, -1), "model.safetensors is not complete.*missing"),
    "header is no JSON": (
        lambda f: (f / "model.safetensors").write_bytes((4).to_bytes(8, "little") + b"\x00\xff{}"),
        "model.safetensors is damaged.*JSON",
    ),
    "header larger than the file": (
        lambda f: (f / "model.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + b"{}"),
        "model.safetensors is damaged.*header",
    ),
    "offsets outside": (
        lambda f: edit_header(f, lambda h: h[Q].update(data_offsets=[1 << 40, (1 << 40) + 2 * 256 * 256])),
        "model.safetensors is damaged",
    ),
    "offsets overlap": (
        lambda f: edit_header(f, lambda h: h[Q].update(data_offsets=[2, 2 + 2 * 256 * 256])),
        "model.safetensors is damaged.*overlapping",
    ),
    "shard missing": (missing_shard, "model-00002-of-00003.safetensors is missing"),
    "tensor listed but absent": (absent_tensor, "layers.7.extra.weight.*model-00001-of-00003"),
    "tensor missing": (lambda f: drop_tensor(f, Q), "blk.0.attn_q.weight"),
    "architecture unknown": (
        lambda f: edit_json(f / "config.json", architectures=["Llama9ForCausalLM"]),
        "'Llama9ForCausalLM'.*LlamaForCausalLM.*--outtype bf16.*GGUF",
    ),
    "architecture missing": (
        lambda f: edit_json(f / "config.json", architectures=None, model_type=None),
        "config.json.*architectures",
    ),
    "dtype not of weights": (
        lambda f: edit_header(f, lambda h: h[Q].update(dtype="I16")),
        f"other types than BF16.*{Q}. of model.safetensors as I16",
    ),
    "dtype unknown": (lambda f: edit_header(f, lambda h: h[Q].update(dtype="X7")), f"{Q}.*'X7'"),
    "NaN": (lambda f: set_weight(f, Q, (5, 9), np.nan), f"{Q} in model.safetensors holds nan at index .5, 9."),
    "infinity": (lambda f: set_weight(f, Q, (0, 1), -np.inf), f"{Q} in model.safetensors holds -inf at index .0, 1."),
    "shape contradicts": (
        lambda f: edit_json(f / "config.json", num_key_value_heads=4),
        "config.json.*num_key_value_heads 4.*k_proj.*num_key_value_heads to 2",
    ),
    "config missing": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{'a': 1}"), "config.json is not a JSON object"),
    "config is no object": (lambda f: (f / "config.json").write_text("[]"), "config.json is not a JSON object"),
    "config is binary": (
        lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"),
        "config.json is not a JSON object",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json or tokenizer.model is missing"),
    "tokenizer is no JSON": (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer.json"),
    "tokenizer is nonsense": (
        lambda f: (f / "tokenizer.json").write_text('{"model": {"type": "BPE"}}'),
        "tokenizer.json",
    ),
    "tokenizer of another model": (lambda f: edit_json(f / "config.json", vocab_size=12), "vocab|shape"),
}


def everything(folder: Path) -> dict[str, bytes]:
    """Every file under `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("trouble", BROKEN)
def test_a_broken_model_is_one_sentence_and_leaves_nothing(trouble, quantize, tmp_path):
    folder = make_checkpoint(tmp_path / "tiny", num_hidden_layers=1)
    break_it, said = BROKEN[trouble]
    break_it(folder)
    before = everything(tmp_path)
    result = quantize(folder, *USUAL)
    assert result.exit_code == 1, result.stderr
    assert result.stdout == ""
    sentence(result.stderr)
    assert re.search(said, result.stderr)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("trouble", ["no folder", "cut in the data", "NaN"])
def test_a_broken_model_leaves_nothing_of_standard_output_but_its_beginning(trouble, quantize, tmp_path):
    folder = make_checkpoint(tmp_path / "tiny", num_hidden_layers=1)
    BROKEN[trouble][0](folder)
    result = quantize(folder, *USUAL, "-o", "-")
    assert result.exit_code == 1
    assert result.stdout_bytes[:4] == (b"GGUF" if trouble == "NaN" else b"")
    sentence(result.stderr)


def test_an_unknown_pre_tokenizer_says_which_file_and_how_to_choose(quantize, own_llama, work):
    split = {"type": "Split", "pattern": {"Regex": "zz"}, "behavior": "Isolated", "invert": False}
    edit_json(own_llama / "tokenizer.json", pre_tokenizer=split)
    result = quantize(own_llama, *FORMAT)
    assert result.exit_code == 1
    said = sentence(result.stderr)
    assert str(own_llama / "tokenizer.json") in said
    assert "--pre-tokenizer" in said
    assert everything(work) == {}


def test_no_room_on_the_disk(quantize, llama, work, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(1000, 999, 1))
    result = quantize(llama, *USUAL)
    assert result.exit_code == 1
    assert "bytes, but the disk has 1 free" in sentence(result.stderr)
    assert everything(work) == {}


def test_places_where_the_file_cannot_go(quantize, llama, work, monkeypatch):
    (work / "there.gguf").write_text("mine")
    for output, said in {
        "there.gguf": "there.gguf exists.*--force",
        "missing/model.gguf": "folder .*missing does not exist",
        "x" * 300: "too long",
    }.items():
        result = quantize(llama, *USUAL, "-o", output)
        assert result.exit_code == 1
        sentence(result.stderr)
        assert re.search(said, result.stderr)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    result = quantize(llama, *USUAL)
    assert result.exit_code == 1
    assert "not writable" in sentence(result.stderr)
    assert everything(work) == {"there.gguf": b"mine"}


def test_places_where_the_report_cannot_go(quantize, llama, work):
    (work / "there.json").write_text("mine")
    (work / "folder.md").mkdir()
    for report, said in {
        "there.json": "there.json exists.*--force",
        "folder.md": "folder",
        "missing/report.md": "folder .*missing does not exist.*--report",
    }.items():
        result = quantize(llama, *USUAL, "--report", report)
        assert result.exit_code == 1
        sentence(result.stderr)
        assert re.search(said, result.stderr)
    assert everything(work) == {"there.json": b"mine"}


def test_a_model_from_the_hub_that_cannot_be_had(quantize, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    result = quantize("nobody/nothing", *FORMAT)
    assert result.exit_code == 1
    assert "nobody/nothing" in sentence(result.stderr)


def test_names_from_outside_cannot_write_to_the_terminal(quantize, work):
    result = quantize("no\n\x1b[31msuch\rfolder\x07", *FORMAT)
    assert result.exit_code == 1
    assert "no??[31msuch?folder?" in sentence(result.stderr)


def test_the_sentence_stands_below_the_traceback_with_debug(quantize, work):
    result = quantize("nowhere", *FORMAT, "--debug")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert "CheckpointError" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("quantize: nowhere does not exist")


# The command line is at fault: exit code 2.


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--format"),
        (("--format",), "--format needs a value; write --format NAME"),
        (("--format", "q9_k"), "Unknown format 'q9_k'; the nearest names are q6_k, q5_k, q4_k"),
        (("--format", ""), "--format is empty"),
        ((*FORMAT, "--treads", "2"), "--treads is not an option; the nearest is --threads"),
        ((*FORMAT, "--threads", "0"), "--threads"),
        ((*FORMAT, "--threads", "many"), "--threads"),
        ((*FORMAT, "another"), "another is one word too many"),
        ((*FORMAT, "--pre-tokenizer", "gpt2"), "'gpt2'.*did you mean gpt-2"),
        ((*FORMAT, "--revision", "main"), "does not have revisions.*--revision"),
        ((*FORMAT, "--report", "report.txt"), "must end in .json, .md or .html"),
        ((*FORMAT, "--report", "same.json", "-o", "./same.json"), "cannot hold both"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments, said, quantize, llama, work):
    result = quantize(llama, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(f"^quantize: .*{said}", result.stderr.splitlines()[-1])
    assert everything(work) == {}


def test_a_pre_tokenizer_that_is_chosen_by_hand_is_written(quantize, llama, work):
    assert quantize(llama, *FORMAT, "--pre-tokenizer", PRE_TOKENIZER).exit_code == 0
    assert PRE_TOKENIZER.encode() in (work / "tiny-llama-Q8_0.gguf").read_bytes()
