"""Endpoints that lie: whatever they answer, nothing is written outside the cache, and a sentence says what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from .hub_server import Repo

CLIENT = """
import json, sys
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import QuantizeError
from quantize_cli.observer import Observer

for model in json.loads(sys.argv[1]):
    try:
        open_checkpoint(model).fetch(Observer())
    except QuantizeError as error:
        print(json.dumps(str(error)))
    else:
        print(json.dumps("taken"))
"""

WEIGHTS = save({"a": np.ones((2, 2), np.float32)})
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS}
HEX = "0123456789abcdef0123456789abcdef01234567"


def listing(name: str, size: object = 2) -> dict[str, object]:
    return {"siblings": [{"rfilename": "config.json", "size": 2}, {"rfilename": name, "size": size}]}


#: Repository, and what the sentence must contain.
CASES = {
    "commit-in-list": (Repo(FILES, listed={"sha": "../../../../escaped"}), "its commit is '../../../../escaped'"),
    "commit-missing": (Repo(FILES, listed={"sha": None}), "its commit is None"),
    "list-of-nothing": (Repo(FILES, listed={"siblings": 7}), "its files are 7"),
    "list-of-numbers": (Repo(FILES, listed={"siblings": [7]}), "one of its files is 7"),
    "negative-size": (Repo(FILES, listed=listing("tokenizer.json", -1)), "one of its files is {"),
    "commit-of-file": (Repo(FILES, lies={"X-Repo-Commit": "../../escaped"}), "answers with the commit '../../escaped'"),
    "commit-upper": (Repo(FILES, lies={"X-Repo-Commit": HEX.upper()}), "answers with the commit '0123456789ABCDEF"),
    "etag": (Repo(FILES, lies={"ETag": '"../../../escaped"'}), "answers with the ETag '../../../escaped'"),
    "etag-absolute": (Repo(FILES, lies={"ETag": "/tmp/escaped"}), "answers with the ETag 'tmp/escaped'"),
    "etag-of-weights": (
        Repo(FILES, lies={"X-Linked-Etag": '"../../../escaped"'}),
        "answers with the ETag '../../../escaped'",
    ),
    "commit-of-absence": (
        Repo({"model.safetensors": WEIGHTS}, lies={"X-Repo-Commit": "../../escaped"}, listed=listing("README.md")),
        "answers with the commit '../../escaped'",
    ),
    "name-up": (Repo(FILES, listed=listing("additional_chat_templates/../../../x.jinja")), "outside its folder"),
    "name-absolute": (Repo(FILES, listed=listing("/tmp/x_Pooling/config.json")), "outside its folder"),
    "name-backslash": (Repo(FILES, listed=listing("..\\..\\x_Pooling/config.json")), "outside its folder"),
    "name-nul": (Repo(FILES, listed=listing("a\0_Pooling/config.json")), "outside its folder"),
    "huge-size": (Repo(FILES, listed=listing("tokenizer.json", 1 << 60)), "is larger than 256 MiB"),
    "many-files": (
        Repo({**FILES, **{f"additional_chat_templates/{i}.jinja": b"x" for i in range(300)}}),
        "has 301 small files, but 256 is the limit",
    ),
    "endless": (Repo(FILES, endless=True), "The server sends more than the 2 bytes"),
    "other-weights": (
        Repo(FILES, other_bodies={"model.safetensors": WEIGHTS[:-1] + b"\1"}),
        "model.safetensors was damaged on its way, because its size or SHA-256 differs",
    ),
    "fine": (Repo(FILES), "taken"),
}  # fmt: skip


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).parts[0] for path in folder.rglob("*")}


def test_what_an_endpoint_answers_never_leaves_the_cache(server, environment, tmp_path):
    server.hub.repos |= {f"org/{name}": repo for name, (repo, _) in CASES.items()}
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps([f"org/{name}" for name in CASES])],
        env=environment, cwd=work, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    for (name, (_, says)), line in zip(CASES.items(), done.stdout.splitlines(), strict=True):
        assert says in json.loads(line), name
        assert "\n" not in json.loads(line)
    assert done.stderr == ""
    assert written(tmp_path) == {"hf", "work"}
    assert written(tmp_path / "hf") == {"hub"}
    allowed = {"CACHEDIR.TAG", ".locks", "models--org--fine", *(f"models--org--{name}" for name in CASES)}
    assert written(tmp_path / "hf" / "hub") <= allowed
    assert not Path("/tmp/escaped").exists()
    inner = {path.name for path in (tmp_path / "hf" / "hub").glob("models--*/*")}
    assert inner <= {"blobs", "snapshots", "refs", "trees", ".no_exist"}
