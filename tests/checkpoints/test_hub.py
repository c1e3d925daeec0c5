"""The real `huggingface_hub` client, in a process of its own (it reads its environment once), and a Hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.checkpoints.safetensors import INDEX_NAME
from quantize_cli.errors import CheckpointError, UsageError

from .hub_server import Hub, HubServer, Refusal, Repo

CLIENT = """
import json, sys
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.checkpoints.base import FLOAT_DTYPES
from quantize_cli.errors import QuantizeError

for model, revision in json.loads(sys.argv[1]):
    try:
        opened = open_checkpoint(model, revision, progress="--progress" in sys.argv)
    except QuantizeError as error:
        print(json.dumps({"error": type(error).__name__, "says": str(error)}))
    else:
        files = sorted(p.relative_to(opened.folder).as_posix() for p in opened.folder.rglob("*") if p.is_file())
        sums = {
            name: float(opened.read_bytes(name, 0, info.rows).view(FLOAT_DTYPES[info.dtype]).sum())
            for name, info in opened.infos.items()
        }
        print(json.dumps({"name": opened.name, "folder": str(opened.folder), "files": files, "sums": sums}))
"""

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
TEXTS = [
    "config.json",
    "generation_config.json",
    "README.md",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/tool_use.jinja",
    "modules.json",
    "1_Pooling/config.json",
]
WANTED = {name: name.encode() for name in TEXTS} | {
    INDEX_NAME: json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}).encode(),
    SHARDS[0]: save({"a": np.full((2, 2), 1.5, np.float32)}),
    SHARDS[1]: save({"b": np.ones((3, 2), np.float16)}),
}
UNWANTED = dict.fromkeys(
    [
        ".gitattributes",
        "pytorch_model.bin",
        "pytorch_model-00001-of-00002.bin",
        "consolidated.safetensors",
        "consolidated.00.pth",
        "original/consolidated.00.pth",
        "model.safetensors",  # the index does not name it
        "model-extra/model.safetensors",
        "onnx/model.onnx",
        "model-q4_k_m.gguf",
        "model.py",
        "tf_model.h5",
    ],
    b"must not be asked for",
)
SUMS = {"a": 6.0, "b": 6.0}


@pytest.fixture
def server():
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def hub(server) -> Hub:
    server.hub.repos["org/some-model"] = Repo(WANTED | UNWANTED)
    return server.hub


@pytest.fixture
def client(server, tmp_path):
    """Run `open_checkpoint` on models (with revisions) in a fresh process; returns one result for each, and stderr."""

    def run(*models: str | tuple[str, str], progress: bool = False, **variables: str):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": server.endpoint, "NO_PROXY": "*"} | variables
        jobs = json.dumps([(model, None) if isinstance(model, str) else model for model in models])
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, jobs, *(["--progress"] if progress else [])],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


def test_only_what_is_needed_is_downloaded_and_only_once(hub, client, tmp_path):
    (first, again), stderr = client("org/some-model", ("org/some-model", hub.repos["org/some-model"].commit))
    assert first["name"] == "some-model"
    assert first["sums"] == SUMS
    assert first["files"] == sorted(WANTED)
    assert first["folder"].startswith(str(tmp_path / "hf" / "hub" / "models--org--some-model"))
    assert again == first
    assert hub.downloads() == sorted(WANTED)
    assert "%" not in stderr

    hub.requests.clear()
    (cached,), _ = client("org/some-model")
    assert cached == first
    assert [request.path for request in hub.requests] == ["/api/models/org/some-model/revision/main"]


def test_a_model_of_one_file_without_index(hub, client):
    hub.repos["org/small"] = Repo({"config.json": b"{}", "model.safetensors": WANTED[SHARDS[0]], "x.safetensors": b""})
    (result,), _ = client("org/small")
    assert result["files"] == ["config.json", "model.safetensors"]
    assert result["sums"] == {"a": 6.0}


def test_offline_works_from_the_cache_and_says_so_without(hub, client):
    (online,), _ = client("org/some-model")
    hub.requests.clear()
    (cached, other, revision), _ = client("org/some-model", "org/other", ("org/some-model", "v2"), HF_HUB_OFFLINE="1")
    assert cached == online
    for refused in (other, revision):
        assert refused["error"] == "CheckpointError"
        assert "no folder here and not complete in the cache" in refused["says"]
        assert "HF_HUB_OFFLINE" in refused["says"]
    assert hub.requests == []


def test_a_half_downloaded_model_is_refused_offline_and_completed_online(hub, client):
    (whole,), _ = client("org/some-model")
    shard = Path(whole["folder"]) / SHARDS[1]
    shard.resolve().unlink()
    shard.unlink()
    (refused,), _ = client("org/some-model", HF_HUB_OFFLINE="1")
    assert "not complete in the cache" in refused["says"]
    hub.requests.clear()
    (completed,), _ = client("org/some-model")
    assert completed == whole
    assert hub.downloads() == [SHARDS[1]]


def test_a_hub_that_does_not_answer(client, server):
    server.server_close()
    (result,), _ = client("org/some-model")
    assert result["error"] == "CheckpointError"
    assert f"org/some-model is no folder here and could not be downloaded from {server.endpoint}" in result["says"]
    assert "Connection refused" in result["says"]


@pytest.mark.parametrize("progress", [True, False])
def test_progress_goes_to_standard_error_if_wanted(hub, client, progress):
    (result,), stderr = client("org/some-model", progress=progress, TQDM_POSITION="-1")  # bars without a terminal
    assert result["sums"] == SUMS
    assert ("Fetching 2 files" in stderr) == progress


def test_the_token_goes_to_the_hub_and_not_beyond(hub, client):
    hub.repos["org/private"] = Repo(WANTED, token="hf_secret")
    (result,), _ = client("org/private", HF_TOKEN="hf_secret")
    assert result["sums"] == SUMS
    assert {request.token for request in hub.requests if request.host == "127.0.0.1"} == {"hf_secret"}
    assert {request.token for request in hub.requests if request.host == "localhost"} == {None}


def test_refusals_are_one_sentence_each(hub, client, server):
    hub.repos |= {
        "org/private": Repo(WANTED, token="hf_secret"),
        "org/gated": Repo(WANTED, file_refusal=Refusal(403, "GatedRepo", "Access to model org/gated is restricted")),
        "org/hidden": Repo(WANTED, refusal=Refusal(401, None, "Invalid credentials in Authorization header")),
        "org/forbidden": Repo(WANTED, refusal=Refusal(403, None, "Forbidden: pass a token with rights")),
        "org/broken": Repo(WANTED, refusal=Refusal(500)),
        "org/no-config": Repo({"model.safetensors": WANTED[SHARDS[0]]}),
        "org/only-bin": Repo({"config.json": b"{}", "pytorch_model.bin": b"never"}),
        "org/escaping": Repo({"config.json": b"{}", INDEX_NAME: b'{"weight_map": {"a": "../x.safetensors"}}'}),
        "org/lacking": Repo({name: content for name, content in WANTED.items() if name != SHARDS[1]}),
    }
    expected = {
        "org/nowhere": ("CheckpointError", f"org/nowhere is neither a folder here nor a model at {server.endpoint}"),
        "org/private": ("CheckpointError", "set HF_TOKEN if the model is private"),
        "org/gated": ("CheckpointError", f"accept its terms at {server.endpoint}/org/gated and set HF_TOKEN"),
        "org/hidden": ("CheckpointError", "refused org/hidden (HTTP 401); check HF_TOKEN"),
        "org/forbidden": ("CheckpointError", "refused org/forbidden (HTTP 403); check HF_TOKEN"),
        "org/broken": ("CheckpointError", "refused org/broken (HTTP 500)"),
        "org/no-config": ("CheckpointError", "org/no-config has no config.json at"),
        "org/only-bin": ("UnsupportedError", "org/only-bin has no model*.safetensors at"),
        "org/escaping": ("CheckpointError", "'../x.safetensors', which is not the name"),
        "org/lacking": ("CheckpointError", f"{SHARDS[1]} is missing"),
        "org/..": ("CheckpointError", "org/.. is neither a folder here nor a valid Hub id"),
    }
    results, _ = client(*expected, ("org/some-model", "v9"))
    expected["org/some-model"] = ("CheckpointError", f"org/some-model has no revision v9 at {server.endpoint}")
    for (kind, says), result in zip(expected.values(), results, strict=True):
        assert result["error"] == kind
        assert says in result["says"]
        assert result["says"].endswith(".")
        assert "\n" not in result["says"]
    assert {name for name in hub.downloads() if name.endswith((".safetensors", ".bin"))} == {
        SHARDS[0]
    }  # of org/lacking


def test_a_folder_that_exists_is_never_looked_up(tmp_path, monkeypatch):
    folder = tmp_path / "org" / "some-model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WANTED[SHARDS[0]])
    monkeypatch.chdir(tmp_path)
    assert list(open_checkpoint("org/some-model").infos) == ["a"]
    with pytest.raises(UsageError, match="org/some-model is a local path, which has no revision main"):
        open_checkpoint("org/some-model", "main")


@pytest.mark.parametrize(
    "model", ["missing", "./org/name", "/org/name", "~/name", "a/b/c", "org/x.safetensors", "org/x.gguf"]
)
def test_what_is_no_id_is_a_path(model):
    with pytest.raises(CheckpointError, match="There is no such folder or file"):
        open_checkpoint(model)
