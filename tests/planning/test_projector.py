"""A vision projector, held against what the reference makes of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from planning.projector import write_projector

from quantize_cli import plan, quantize

HASHES = json.loads((Path(__file__).parent / "golden" / "projector.json").read_text())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("projector") / "projector-F16.gguf"
    write_projector(path)
    return path


@pytest.mark.parametrize("format_name", HASHES)
def test_a_projector_is_quantized_as_by_the_reference(format_name, model, tmp_path):
    quantize(model, format_name, tmp_path / "out.gguf", threads=1, no_provenance=True)
    assert hashlib.sha256((tmp_path / "out.gguf").read_bytes()).hexdigest() == HASHES[format_name]


@pytest.mark.parametrize("format_name", ["Q2_K", "IQ4_NL", "IQ4_XS"])
def test_where_the_reference_aborts_there_is_a_plan(format_name, model):
    assert plan(model, format_name).tensors
