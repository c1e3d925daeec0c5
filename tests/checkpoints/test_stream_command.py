"""`quantize ORG/NAME --stream` in a process of its own, with the client as it reads its environment."""

from __future__ import annotations

import hashlib
import os
import signal
import time

import pytest
from checkpoint_factory import make_checkpoint
from command_line import USUAL, invoke, started
from gguf_factory import read_header

from .hub_server import Fault, Repo

#: Of a folder, a file does not tell the repository.
OPTIONS = (*USUAL, "--no-provenance")

pytestmark = pytest.mark.slow


@pytest.fixture
def local(tmp_path):
    return make_checkpoint(tmp_path / "tiny", num_hidden_layers=1, shards=2)


@pytest.fixture
def repo(server, local):
    repo = server.hub.repos["org/tiny"] = Repo(
        {path.name: path.read_bytes() for path in local.iterdir()}, token="hf_secret"
    )
    return repo


def test_the_file_is_that_of_the_folder_and_the_source_is_nowhere(server, environment, repo, local, tmp_path):
    assert invoke(local, *OPTIONS, "-o", tmp_path / "local.gguf").exit_code == 0
    process = started("org/tiny", "--stream", *OPTIONS, "-o", "-", env={**environment, "HF_TOKEN": "hf_secret"})
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == (tmp_path / "local.gguf").read_bytes()
    kept = [path for path in (tmp_path / "hf").rglob("*") if path.is_file()]
    weights = sum(len(content) for name, content in repo.files.items() if name.endswith(".safetensors"))
    assert kept
    assert sum(path.stat().st_size for path in kept) < weights / 10
    tokens = {host: {request.token for request in server.hub.requests if request.host == host} for host in HOSTS}
    assert tokens == {"127.0.0.1": {"hf_secret"}, "localhost": {None}}


def test_a_streamed_file_tells_its_commit_and_is_verified_without_a_download(server, environment, repo, tmp_path):
    environment["HF_TOKEN"] = "hf_secret"
    file = tmp_path / "out.gguf"
    for arguments in (
        ("org/tiny", "--stream", *USUAL, "-o", file),
        ("verify", file, "--against", "org/tiny", "--stream", "--sample", "1"),
        ("verify", file, "--against", "org/tiny", "--stream"),
    ):
        process = started(*arguments, env=environment)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert b"compared all bytes of 12 tensors" in out
    fields = {field.key: field.value for field in read_header(file).fields}
    assert (fields["quantize.source.repository"], fields["quantize.source.commit"]) == ("org/tiny", repo.commit)
    assert fields["quantize.source.sha256"] == tuple(
        hashlib.sha256(content).hexdigest() for name, content in sorted(repo.files.items()) if name.endswith("rs")
    )
    asked = {request.path for request in server.hub.requests if "/revision/" in request.path}
    assert asked == {f"/api/models/org/tiny/revision/{name}" for name in ("main", repo.commit)}


HOSTS = ("127.0.0.1", "localhost")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_reads_that_hang_at_once(server, environment, repo, tmp_path, number):
    """The header comes; then every connection stops in the middle of a body."""
    repo.faults += [Fault(), Fault(), *[Fault(sent=0.5, hangs=True)] * 100]
    environment["HF_TOKEN"] = "hf_secret"
    environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "50"
    process = started("org/tiny", "--stream", *USUAL, "-o", tmp_path / "out.gguf", env=environment)
    try:
        assert server.hub.hanging.wait(60)
        begun = time.monotonic()
        os.kill(process.pid, number)
        process.communicate(timeout=60)
        seconds = time.monotonic() - begun
    finally:
        process.kill()
        server.hub.go_on.set()
    assert process.returncode == 128 + number
    assert seconds < 20
    assert not list(tmp_path.glob("out.gguf*"))


def test_a_folder_is_not_streamed(local):
    result = invoke(local, "--stream", *USUAL)
    assert result.exit_code == 2
    assert "only models on the Hub are streamed; leave --stream out" in result.stderr
