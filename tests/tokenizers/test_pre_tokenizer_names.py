"""The names of pre-tokenizers: the reference's list, each of which llama.cpp knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import llama_tokenizer
import pytest
from oracle.ggml import needs_ggml
from test_tokenizer_golden import SHARED
from tokenizer_factory import make_bpe, read

from quantize_cli.tokenizers import pre_tokenizers
from quantize_cli.tokenizers.pre_tokenizers import known_names
from quantize_cli.tokenizers.vocabularies import BPE

pytestmark = pytest.mark.usefixtures("without_child")

REFERENCE = SHARED / "reference" / "pre_tokenizers.json"


@pytest.mark.skipif(not REFERENCE.is_file(), reason="needs the folder shared/ beside the project")
def test_hashes_and_names_are_the_references():
    reference, ours = json.loads(REFERENCE.read_bytes()), pre_tokenizers._table("pre_tokenizers.json")
    assert {key: entry["name"] for key, entry in reference["hashes"].items()} == ours["hashes"]
    assert len(ours["hashes"]) > 90
    for part in ("names", "fallback", "probe_sha256"):
        assert ours[part] == reference[part]
    for key, names in reference["hashes_twice"].items():  # the later one wins there
        assert ours["hashes"][key] == names[-1]


@pytest.fixture
def loads(tmp_path: Path) -> Callable[[str], bool]:
    """Tells whether llama.cpp loads a small vocabulary under a name, and makes tokens of a text."""
    make_bpe(tmp_path)
    fields = read(tmp_path, BPE, pre_tokenizer="gpt-2").fields

    def under(name: str) -> bool:
        renamed = [replace(field, value=name) if field.key == "tokenizer.ggml.pre" else field for field in fields]
        try:
            return bool(llama_tokenizer.token_ids(renamed, ["the quick brown fox"], tmp_path / "vocabulary.gguf")[0])
        except AssertionError:
            return False

    return under


@needs_ggml
def test_llama_cpp_knows_every_name(loads: Callable[[str], bool]):
    assert len(known_names()) > 80
    assert not [name for name in known_names() if not loads(name)]
    assert not loads("no-such-name")
