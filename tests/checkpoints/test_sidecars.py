"""The small files beside the weights: what is refused, what is protected, and that nothing blocks."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.checkpoints.sidecars import FolderSidecars, max_bytes, parse_json, read_json, read_text
from quantize_cli.errors import CheckpointError

NAMES = ["config.json", "tokenizer.json", "tokenizer.model", "README.md", "chat_template.jinja"]


def refused(sidecars: FolderSidecars, name: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(says)) as raised:
        sidecars.read(name)
    assert sidecars.where(name) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_git_lfs_pointer_in_place_of_any_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 7\n")
    refused(FolderSidecars(tmp_path), name, "is a Git LFS pointer, not the file itself")
    refused(FolderSidecars(tmp_path), name, "run `git lfs pull` in its folder")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_a_file_is_refused_and_never_blocks(tmp_path, name):
    sidecars = FolderSidecars(tmp_path)
    os.mkfifo(tmp_path / name)
    refused(sidecars, name, "is not a regular file")
    with pytest.raises(CheckpointError, match="is not a regular file"):
        sidecars.has(name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    refused(sidecars, name, "is not a regular file")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    refused(sidecars, name, "cannot be read (Is a directory)")
    assert not sidecars.has(name)
    (tmp_path / name).rmdir()
    (tmp_path / name).symlink_to(tmp_path / "gone")
    refused(sidecars, name, "is missing")
    assert not sidecars.has(name)


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("config.json")
        refused(FolderSidecars(tmp_path), "config.json", "is not a regular file")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system shows no environment")
def test_a_template_that_links_to_the_environment_is_refused(tmp_path):
    folder = tmp_path / "additional_chat_templates"
    folder.mkdir()
    (folder / "x.jinja").symlink_to("/proc/self/environ")
    refused(FolderSidecars(tmp_path), "additional_chat_templates/x.jinja", "is a link to '/proc/")


def test_links_that_lead_out_of_the_folder(tmp_path):
    model, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    model.mkdir()
    elsewhere.mkdir()
    (elsewhere / "id_rsa").write_text("secret")
    (elsewhere / "tokenizer.json").write_text("mine")
    sidecars = FolderSidecars(model)
    (model / "chat_template.jinja").symlink_to("../elsewhere/id_rsa")
    refused(sidecars, "chat_template.jinja", "which is outside the model's folder; if you trust it, copy the file")
    (model / "tokenizer.json").symlink_to(elsewhere / "tokenizer.json")
    assert sidecars.read("tokenizer.json") == b"mine"
    (model / "inside").write_text("inside")
    (model / "config.json").symlink_to("inside")
    assert sidecars.read("config.json") == b"inside"


def test_links_of_the_hubs_cache(tmp_path):
    blobs, snapshot = tmp_path / "models--org--name" / "blobs", tmp_path / "models--org--name" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "0123").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/0123")
    assert FolderSidecars(snapshot).read("config.json") == b"{}"
    shared = tmp_path / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    shared.write_text("[]")
    (blobs / "4567").symlink_to(f"../../blobs/ab/{shared.name}")
    (snapshot / "tokenizer.json").symlink_to("../../blobs/4567")
    assert FolderSidecars(snapshot).read("tokenizer.json") == b"[]"


def test_a_folder_that_is_a_link_itself(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "config.json").write_text("{}")
    (tmp_path / "link").symlink_to("real")
    assert FolderSidecars(tmp_path / "link").read("config.json") == b"{}"


def test_no_more_is_read_than_the_limit(tmp_path):
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    refused(FolderSidecars(tmp_path), "config.json", f"is larger than {max_bytes('config.json') >> 20} MiB")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'{"a": ' + b"9" * 5000 + b"}", "it has an integer of more than 4300 digits"),
        (b"[" * 200_000, "it is nested too deeply"),
        (b'{"a": 1, "a": 2}', "it has the key 'a' 2 times"),
        (b'"\\ud800"', "has half of a surrogate pair"),
        (b"\xff", "can't decode byte 0xff"),
    ],
)
def test_json_that_is_refused(tmp_path, text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_json(text)
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(CheckpointError, match="is not valid JSON") as raised:
        read_json(FolderSidecars(tmp_path), "config.json")
    assert len(str(raised.value)) < 400


def test_text_that_is_not_utf_8(tmp_path):
    (tmp_path / "README.md").write_bytes(b"\xff")
    with pytest.raises(CheckpointError, match="is not UTF-8 text"):
        read_text(FolderSidecars(tmp_path), "README.md")


def test_every_file_of_the_model_is_protected(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": np.ones(1, np.float32)}, folder / "model.safetensors")
    small = [*NAMES, "special_tokens_map.json", "added_tokens.json", "merges.txt", "vocab.json", "modules.json"]
    for name in small:
        (folder / name).write_text("{}")
    (folder / "notes.txt").write_text("mine")
    checkpoint = open_checkpoint(folder)
    for number, name in enumerate([*small, "model.safetensors"]):
        (tmp_path / f"hard{number}").hardlink_to(folder / name)
        (tmp_path / f"soft{number}").symlink_to(folder / name)
        for path in (folder / name, tmp_path / f"hard{number}", tmp_path / f"soft{number}"):
            assert checkpoint.reads(path)
    for path in (folder / "notes.txt", folder / "new.gguf", tmp_path / "new.gguf"):
        assert not checkpoint.reads(path)


def test_a_small_file_that_was_read_is_protected_whatever_its_name(tmp_path):
    (tmp_path / "tekken.json").write_text("{}")
    sidecars = FolderSidecars(tmp_path)
    assert not sidecars.reads(tmp_path / "tekken.json")
    sidecars.read("tekken.json")
    assert sidecars.reads(tmp_path / "tekken.json")
