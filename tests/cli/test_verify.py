"""`quantize verify` at the prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import USUAL, sentence

from quantize_cli.planning import provenance
from quantize_cli.verification.model import (
    MOST_FINDINGS,
    SCHEMA_VERSION,
    CheckedFile,
    Compared,
    Finding,
    Verification,
)


@pytest.fixture
def model(quantize, llama, work):
    assert quantize(llama, *USUAL, "-o", "model.gguf").exit_code == 0
    return work / "model.gguf"


def test_a_sound_file(quantize, llama, model):
    result = quantize("verify", "model.gguf")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"model.gguf: 21 tensors, {model.stat().st_size:,} bytes",
        "scales   searched 42,752 blocks for NaN and infinity",
        "digests  compared in 1 of 1 files",
        "sound    no fault was found",
    ]
    result = quantize("verify", "model.gguf", "--against", llama, "--threads", "1")
    assert result.exit_code == 0
    assert f"against  {llama} as Q8_0: compared all bytes of 21 tensors" in result.stdout.splitlines()


def test_a_damaged_file(quantize, model):
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    result = quantize("verify", "model.gguf")
    assert result.exit_code == 1
    assert sentence(result.stderr) == "model.gguf has 1 fault, which stands on standard output."
    (fault,) = [line for line in result.stdout.splitlines() if line.startswith("fault")]
    assert "is the first that does not have its digest" in fault
    result = quantize("verify", "model.gguf", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["sound"], found["schema_version"]) == (1, False, 1)
    assert [finding["kind"] for finding in found["findings"]] == ["digest"]


def test_mistakes(quantize, llama, model):
    for arguments, said in {
        ("none.gguf",): "none.gguf does not exist; check the path.",
        (): "Missing argument 'FILE'; `quantize --help` shows how it is used.",
        ("model.gguf", "--pure"): "Only a comparison with the model takes options; give the model with --against.",
        ("model.gguf", "--against"): "--against needs a value; write --against MODEL.",
        ("model.gguf", "--sample", "0"): "--sample takes a number of pieces from 1 on, not '0'.",
        ("model.gguf", "--no-fallback"): "--no-fallback is not an option of verify; it belongs to quantize MODEL.",
    }.items():
        assert sentence(quantize("verify", *arguments).stderr) == said


def test_the_page_names_every_field_and_key():
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text()
    for value in (Verification, CheckedFile, Compared, Finding):
        assert [name for name in value.__dataclass_fields__ if f"`{name}`" not in page] == []
    keys = (
        *(provenance.VERSION, provenance.NAME, provenance.REPOSITORY, provenance.COMMIT, provenance.FILES),
        *(provenance.SIZES, provenance.HASHES, provenance.RECIPE, provenance.IMATRIX_SHA256),
    )
    assert [key for key in keys if f"| `{key}` |" not in page] == []
    assert f"version of this description: {SCHEMA_VERSION} |" in page
    assert f"at most {MOST_FINDINGS} faults" in page
