"""Real tokenizers: each `tokenizer.*` key, its type, value and place, as the reference converter wrote them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFValueType
from tokenizer_cases import CASES, GOLDEN, Case

from quantize_cli.gguf_file.bridge import collected_fields, new_writer
from quantize_cli.gguf_file.fields import Field
from quantize_cli.tokenizers.vocabulary import Scheme, add_vocabulary

SHARED = Path(os.environ.get("QUANTIZE_SHARED", Path(__file__).resolve().parents[2] / ".." / "shared"))
SCHEMES = {"llama": Scheme.LLAMA, "mistral": Scheme.LLAMA, "qwen2": Scheme.QWEN2, "qwen3": Scheme.QWEN2}

PARAMETERS = [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else []) for case in CASES]


def described(found: Field, golden: dict[str, Any]) -> dict[str, Any]:
    """The field in the form that its golden record has (`tests/golden/record.py`)."""
    is_array = found.type == GGUFValueType.ARRAY
    record: dict[str, Any] = {"type": found.type.name}
    if is_array:
        record["item"] = (found.item_type or GGUFValueType.get_type(found.value[0])).name
    if "sha256" in golden:
        text = json.dumps(found.value, separators=(",", ":"))
        record |= {"sha256": hashlib.sha256(text.encode()).hexdigest(), "n": len(found.value)}
    if "value" in golden:
        record["value"] = list(found.value) if is_array else found.value
    return record


def test_there_is_a_golden_file_for_every_case():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {case.name for case in CASES}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder shared/ beside the project")
@pytest.mark.parametrize("case", PARAMETERS)
def test_keys_equal_the_references(case: Case, tmp_path: Path):
    writer = new_writer("llama")
    folder = case.make(tmp_path, SHARED / "tokenizers")
    add_vocabulary(writer, folder, scheme=SCHEMES[case.model_type], vocab_size=case.vocab_size)
    fields = [found for found in collected_fields(writer) if found.key.startswith("tokenizer.")]

    golden = json.loads((GOLDEN / f"{case.name}.json").read_text())
    assert [found.key for found in fields] == list(golden)
    assert {found.key: described(found, golden[found.key]) for found in fields} == golden
