"""What is refused on the Hub before the weights are downloaded, and what without asking it at all."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint

from .hub_server import Repo

#: Each case is a run of the command in this one process; a disk that is full is one of the cases.
CLIENT = """
import contextlib, io, json, shutil, sys
from collections import namedtuple
from unittest.mock import patch
from quantize_cli.cli.app import main

full = namedtuple("usage", "total used free")(1000, 1000, 0)
for name, arguments in json.load(sys.stdin):
    said = io.StringIO()
    disk = patch.object(shutil, "disk_usage", lambda _: full) if name == "full-disk" else contextlib.nullcontext()
    with disk, contextlib.redirect_stderr(said):
        code = main(arguments)
    print(json.dumps({"code": code, "says": said.getvalue()}))
"""


class Case(NamedTuple):
    options: tuple[str, ...]
    code: int
    says: str
    asks: str  #: "nothing", "headers" (and small files) or "weights"


USUAL = ("--format", "q8_0", "--pre-tokenizer", PRE_TOKENIZER, "--threads", "1")

CASES = {
    # The options alone are at fault.
    "mistyped-pre-tokenizer": Case(("-f", "q8_0", "--pre-tokenizer", "gpt2"), 2, "did you mean gpt-2", "nothing"),
    "mistyped-format": Case(("-f", "q9_0"), 2, "Unknown format 'q9_0'", "nothing"),
    "mistyped-type": Case((*USUAL, "--tensor-type", "attn=q9"), 2, "Unknown type 'q9'", "nothing"),
    "format-twice": Case((*USUAL, "-f", "Q8_0"), 2, "Q8_0 is given twice", "nothing"),
    "two-ways-to-split": Case((*USUAL, "--keep-split", "--split-max-size", "1G"), 2, "cannot be combined", "nothing"),
    "no-such-matrix": Case(
        (*USUAL, "--imatrix", "nowhere.gguf"), 1, "importance matrix nowhere.gguf does not exist", "nothing"
    ),
    "named-output-exists": Case((*USUAL, "-o", "there.gguf"), 1, "there.gguf exists", "nothing"),
    "no-folder-for-the-output": Case((*USUAL, "-o", "missing/x.gguf"), 1, "missing does not exist", "nothing"),
    "no-folder-for-the-report": Case((*USUAL, "--report", "missing/x.md"), 1, "missing does not exist", "nothing"),
    "report-of-unknown-kind": Case((*USUAL, "--report", "x.txt"), 2, "must end in .json, .md or .html", "nothing"),
    # What the small files and the headers tell.
    "unknown-architecture": Case(USUAL, 1, "names the architecture 'MPTForCausalLM'", "headers"),
    "lacks-a-tensor": Case(USUAL, 1, "lacks", "headers"),
    "cut-off": Case(USUAL, 1, "org/cut-off/model.safetensors is not complete", "headers"),
    "matrix-required": Case(("-f", "iq2_xxs", *USUAL[2:]), 2, "IQ2_XXS needs importances", "headers"),
    "rows-do-not-fit": Case(("-f", "q4_k_m", *USUAL[2:], "--no-fallback"), 2, "does not fit", "headers"),
    "usual-output-exists": Case(USUAL, 1, "usual-output-exists-Q8_0.gguf exists", "headers"),
    "full-disk": Case(USUAL, 1, "bytes, but the disk has 0 free", "headers"),
    # Nothing is.
    "fine": Case(USUAL, 0, "100% downloaded", "weights"),
}


@pytest.fixture
def repos(tmp_path):
    """The repository of each case."""

    def repo(name: str, **config) -> Repo:
        folder = make_checkpoint(tmp_path / name, num_hidden_layers=1, **config)
        return Repo({path.name: path.read_bytes() for path in folder.iterdir()})

    usual = repo("usual")
    deeper = json.dumps({**json.loads(usual.files["config.json"]), "num_hidden_layers": 2}).encode()
    special = {
        "unknown-architecture": repo("unknown", architectures=["MPTForCausalLM"]),
        "lacks-a-tensor": Repo({**usual.files, "config.json": deeper}),
        "rows-do-not-fit": repo("odd", intermediate_size=272),
        "cut-off": Repo({**usual.files, "model.safetensors": usual.files["model.safetensors"][:-1]}),
    }
    return {f"org/{name}": special.get(name, usual) for name in CASES}


def test_what_can_be_refused_is_refused_before_the_download(server, environment, repos, tmp_path):
    server.hub.repos |= repos
    work = tmp_path / "work"
    work.mkdir()
    there = [work / "there.gguf", work / "usual-output-exists-Q8_0.gguf"]
    for path in there:
        path.write_text("mine")
    jobs = [(name, [f"org/{name}", *case.options]) for name, case in CASES.items()]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT], input=json.dumps(jobs), env=environment, cwd=work,
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    results = [json.loads(line) for line in done.stdout.splitlines()]
    for (name, case), result in zip(CASES.items(), results, strict=True):
        assert (result["code"], case.says in result["says"]) == (case.code, True), (name, result["says"])
        assert asked(server.hub, f"org/{name}") == case.asks, name
    assert sorted(path.name for path in work.iterdir()) == sorted([*(path.name for path in there), "fine-Q8_0.gguf"])
    assert [path.read_text() for path in there] == ["mine", "mine"]


def asked(hub, model: str) -> str:
    """What the requests for a model asked for; a part of a file of weights is its header."""
    requests = [request for request in hub.requests if f"/{model}/" in f"{request.path}/"]
    weights = [request for request in requests if request.path.endswith(".safetensors") and request.method == "GET"]
    if any(request.part is None for request in weights):
        return "weights"
    return "headers" if weights else "small files" if requests else "nothing"
