"""The real `huggingface_hub` client, in a process of its own (it reads its environment once), and a Hub on loopback."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.checkpoints.remote import FIRST_BYTES
from quantize_cli.checkpoints.sidecars import INDEX_NAME
from quantize_cli.errors import CheckpointError, UsageError

from .hub_server import Hub, Refusal, Repo

CLIENT = """
import json, sys, threading
import numpy as np
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import QuantizeError
from quantize_cli.observer import Observer


DTYPES = {"F32": np.float32, "F16": np.float16}


class Recorder(Observer):
    def __init__(self):
        self.events = []
        self.thread = threading.get_ident()

    def record(self, *event):
        assert threading.get_ident() == self.thread
        self.events.append(event)

    def noted(self, sentence):
        self.record("noted", sentence)

    def download_started(self, files, nbytes):
        self.record("download_started", files, nbytes)

    def downloaded(self, nbytes):
        self.record("downloaded", nbytes)


for model, revision in json.loads(sys.argv[1]):
    recorder = Recorder()
    try:
        opened = open_checkpoint(model, revision, recorder)
        missing = {path.name: size for path, size in opened.missing.items()}
        sources = [(file.name, file.nbytes, file.sha256) for file in opened.source_files]
        opened.fetch(recorder)
        assert not opened.missing
        assert [(file.name, file.nbytes, file.sha256) for file in opened.source_files] == sources
    except QuantizeError as error:
        print(json.dumps({"error": type(error).__name__, "says": str(error), "events": recorder.events}))
    else:
        files = sorted(p.relative_to(opened.folder).as_posix() for p in opened.folder.rglob("*") if p.is_file())
        sums = {
            name: float(opened.read_bytes(name, 0, info.rows).view(DTYPES[info.dtype]).sum())
            for name, info in opened.infos.items()
        }
        result = {"name": opened.name, "location": opened.location, "files": files, "sums": sums}
        result |= {"folder": str(opened.folder), "config": opened.sidecars.where("config.json")}
        print(json.dumps(result | {"missing": missing, "events": recorder.events, "sources": sources}))
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
def hub(server) -> Hub:
    server.hub.repos["org/some-model"] = Repo(WANTED | UNWANTED)
    return server.hub


@pytest.fixture
def client(environment, tmp_path):
    """Open models (with revisions) and fetch their weights in a fresh process; returns the results, and stderr."""

    def run(*models: str | tuple[str, str], **variables: str):
        jobs = json.dumps([(model, None) if isinstance(model, str) else model for model in models])
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, jobs],
            env={**environment, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


def same(one, other):
    """Whether two clients found the same, however they came by it."""
    return all(one[key] == other[key] for key in ("name", "location", "files", "sums", "folder", "config", "sources"))


def test_only_what_is_needed_is_downloaded_and_only_once(hub, client, tmp_path):
    (first, again), stderr = client("org/some-model", ("org/some-model", hub.repos["org/some-model"].commit))
    assert (first["name"], first["location"]) == ("some-model", "org/some-model")
    assert first["config"] == "org/some-model/config.json"
    assert first["sums"] == SUMS
    assert first["files"] == sorted(WANTED)
    assert first["folder"].startswith(str(tmp_path / "hf" / "hub" / "models--org--some-model"))
    assert first["missing"] == {shard: len(WANTED[shard]) for shard in SHARDS}
    assert same(again, first)
    assert again["missing"] == {}
    assert hub.downloads() == sorted(WANTED)
    assert [name for name, _ in hub.parts()] == list(SHARDS)
    assert stderr == ""
    assert first["sources"] == [
        [shard, len(WANTED[shard]), hashlib.sha256(WANTED[shard]).hexdigest()] for shard in SHARDS
    ]

    hub.requests.clear()
    (cached,), _ = client("org/some-model")
    assert same(cached, first)
    assert (cached["missing"], cached["events"]) == ({}, [])
    assert {request.path for request in hub.requests} == {"/api/models/org/some-model/revision/main"}


def test_the_observer_hears_of_every_byte_in_the_callers_thread(hub, client):
    (result,), stderr = client("org/some-model", TQDM_POSITION="-1")  # which would force bars without a terminal
    total = sum(len(WANTED[shard]) for shard in SHARDS)
    noted, started, *downloaded = result["events"]
    assert noted == ["noted", "Reading the headers of 2 files of org/some-model."]
    assert started == ["download_started", 2, total]
    assert {kind for kind, _ in downloaded} == {"downloaded"}
    assert sum(nbytes for _, nbytes in downloaded) == total
    assert stderr == ""


def large(header_bytes: int, data_bytes: int) -> bytes:
    """A safetensors file of one tensor of ones, with a header of that length."""
    header = json.dumps({"a": {"dtype": "F16", "shape": [data_bytes // 2], "data_offsets": [0, data_bytes]}}).encode()
    return header_bytes.to_bytes(8, "little") + header.ljust(header_bytes) + bytes(data_bytes)


def test_a_header_takes_one_request_or_two(hub, client):
    for name, header_bytes in (("short", 100), ("long", FIRST_BYTES + 1000)):
        hub.repos[f"org/{name}"] = Repo({"config.json": b"{}", "model.safetensors": large(header_bytes, 1 << 20)})
        hub.requests.clear()
        (result,), _ = client(f"org/{name}")
        assert result["sums"] == {"a": 0.0}
        expected = [(0, FIRST_BYTES)] + ([(FIRST_BYTES, 8 + header_bytes)] if name == "long" else [])
        assert [part for _, part in hub.parts()] == expected


def test_a_server_that_ignores_ranges_does_not_send_the_weights_twice(hub, client):
    """Beside the header only what its buffers and ours hold: of 64 MiB a few."""
    size = 64 << 20
    content = large(FIRST_BYTES + 1000, size)
    files = {"config.json": b"{}", "model.safetensors": content}
    hub.repos["org/stubborn"] = Repo(files, ignores_ranges=True)
    (result,), _ = client("org/stubborn")
    assert result["missing"] == {"model.safetensors": len(content)}
    assert result["sums"] == {"a": 0.0}
    assert [part for _, part in hub.parts()] == [(0, FIRST_BYTES), (FIRST_BYTES, FIRST_BYTES + 1008)]
    assert hub.sent["model.safetensors"] < 1.5 * size


def test_a_file_that_is_not_the_one_whose_header_was_sent_is_refused(hub, client):
    """A commit does not change, but a server may be broken or hostile."""
    shown = {"siblings": [{"rfilename": "config.json", "size": 2}, {"rfilename": "model.safetensors"}]}
    two_faced = Repo({"config.json": b"{}", "model.safetensors": WANTED[SHARDS[0]]}, listed=shown)
    two_faced.other_headers = {"model.safetensors": WANTED[SHARDS[0]].replace(b'"a"', b'"b"')}
    hub.repos["org/two-faced"] = two_faced
    (result,), _ = client("org/two-faced")
    assert result["error"] == "CheckpointError"
    assert "model.safetensors is not the file whose header" in result["says"]
    assert "delete it and run again" in result["says"]


def test_a_small_file_that_is_not_small_is_not_downloaded(hub, client):
    hub.repos["org/bloated"] = Repo({"config.json": bytes((16 << 20) + 1), "model.safetensors": WANTED[SHARDS[0]]})
    (result,), _ = client("org/bloated")
    assert result["error"] == "CheckpointError"
    assert result["says"].startswith("org/bloated/config.json is larger than 16 MiB, so it cannot be a config.json")
    assert hub.downloads() == []


def test_a_model_of_one_file_without_index(hub, client):
    hub.repos["org/small"] = Repo({"config.json": b"{}", "model.safetensors": WANTED[SHARDS[0]], "x.safetensors": b""})
    (result,), _ = client("org/small")
    assert result["files"] == ["config.json", "model.safetensors"]
    assert result["sums"] == {"a": 6.0}


def test_offline_works_from_the_cache_and_says_so_without(hub, client):
    (online,), _ = client("org/some-model")
    hub.requests.clear()
    (cached, other, revision), _ = client("org/some-model", "org/other", ("org/some-model", "v2"), HF_HUB_OFFLINE="1")
    assert same(cached, online)
    assert cached["events"] == []
    for refused in (other, revision):
        assert refused["error"] == "CheckpointError"
        assert "is not a folder here and not complete in the cache" in refused["says"]
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
    assert same(completed, whole)
    assert hub.downloads() == [SHARDS[1]]


def test_a_hub_that_does_not_answer(client, server):
    server.server_close()
    (result,), _ = client("org/some-model")
    assert result["error"] == "CheckpointError"
    assert f"org/some-model is not a folder here and could not be downloaded from {server.endpoint}" in result["says"]
    assert "Connection refused" in result["says"]


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
        "org/no-config": ("CheckpointError", "org/no-config does not have a config.json at"),
        "org/only-bin": (
            "UnsupportedError",
            "org/only-bin does not hold model*.safetensors, only pytorch_model.bin, PyTorch",
        ),
        "org/escaping": ("CheckpointError", "'../x.safetensors', which is not the name"),
        "org/lacking": ("CheckpointError", f"{SHARDS[1]} is missing"),
        "org/a..b": ("CheckpointError", "org/a..b is neither a folder here nor a model at"),
        "org/..": ("CheckpointError", "org/.. does not exist; check the path"),
    }
    results, _ = client(*expected, ("org/some-model", "v9"))
    expected["org/some-model"] = (
        "CheckpointError",
        f"org/some-model does not have the revision v9 at {server.endpoint}",
    )
    for (kind, says), result in zip(expected.values(), results, strict=True):
        assert result["error"] == kind
        assert says in result["says"]
        assert result["says"].endswith(".")
        assert "\n" not in result["says"]
    assert [name for name in hub.downloads() if name.endswith((".safetensors", ".bin"))] == []


def test_a_folder_that_exists_is_never_looked_up(tmp_path, monkeypatch):
    folder = tmp_path / "org" / "some-model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WANTED[SHARDS[0]])
    monkeypatch.chdir(tmp_path)
    assert list(open_checkpoint("org/some-model").infos) == ["a"]
    with pytest.raises(UsageError, match="org/some-model is a local path, which does not have revisions"):
        open_checkpoint("org/some-model", "main")


@pytest.mark.parametrize(
    "model", ["missing", "./org/name", "/org/name", "~/name", "a/b/c", "org/x.safetensors", "org/x.gguf"]
)
def test_what_is_no_id_is_a_path(model):
    with pytest.raises(CheckpointError, match="does not exist; check the path"):
        open_checkpoint(model)
