"""A model on the Hub is inspected by the command without a download of its weights."""

from __future__ import annotations

import json
import subprocess

from checkpoint_factory import PRE_TOKENIZER
from command_line import COMMAND

from .hub_server import Repo


def test_only_small_files_and_headers_are_read(server, environment, llama, tmp_path):
    files = {path.name: path.read_bytes() for path in llama.iterdir()}
    server.hub.repos["org/tiny-llama"] = Repo(files)
    done = subprocess.run(
        [*COMMAND, "inspect", "org/tiny-llama", "--pre-tokenizer", PRE_TOKENIZER, "--json"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["source"] == {
        "location": "org/tiny-llama",
        "repository": "org/tiny-llama",
        "commit": server.hub.repos["org/tiny-llama"].commit,
        "files": 1,
        "missing_bytes": len(files["model.safetensors"]),
    }
    assert found["parameters"]["total"] > 0
    assert found["formats"]
    assert found["refusal"] is None
    assert "model.safetensors" not in server.hub.downloads()
    assert [name for name, _ in server.hub.parts()] == ["model.safetensors"]


def test_a_plan_tells_the_download_and_reads_headers_alone(server, environment, llama, tmp_path):
    files = {path.name: path.read_bytes() for path in llama.iterdir()}
    server.hub.repos["org/tiny-llama"] = Repo(files)
    done = subprocess.run(
        [*COMMAND, "plan", "org/tiny-llama", "-f", "q8_0", "--pre-tokenizer", PRE_TOKENIZER, "--json"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    weights = len(files["model.safetensors"])
    assert found["source"]["missing_bytes"] == found["needs"]["download_bytes"] == weights
    assert found["needs"]["disk_bytes"] == weights + found["plans"][0]["file_bytes"]
    assert "model.safetensors" not in server.hub.downloads()
    assert [name for name, _ in server.hub.parts()] == ["model.safetensors"]
