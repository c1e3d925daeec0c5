"""Real tokenizers: each `tokenizer.*` key, its type, value and place, as the reference converter wrote them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tokenizer_cases import CASES, GOLDEN, Case

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.gguf_file.fields import Field
from quantize_cli.tokenizers.vocabularies import (
    APERTUS,
    BAICHUAN,
    BPE,
    CHATGLM,
    DEEPSEEK,
    ERNIE,
    GEMMA,
    GEMMA1,
    GEMMA4,
    GEMMA_SPM,
    GLM,
    GLM4,
    GRANITE,
    GRANITE_HYBRID,
    HUNYUAN_DENSE,
    INTERNLM2,
    INTERNLM3,
    LLAMA,
    MAMBA,
    MAMBA2,
    MINICPM,
    NEMOTRON_H,
    PHI3,
    QWEN2,
)
from quantize_cli.tokenizers.vocabulary import read_vocabulary

SHARED = Path(os.environ.get("QUANTIZE_SHARED", Path(__file__).resolve().parents[2] / ".." / "shared"))
VOCABULARIES = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "mixtral": LLAMA,
    "qwen2": QWEN2,
    "qwen3": QWEN2,
    "qwen2_moe": BPE,
    "qwen3_moe": BPE,
    "qwen3_5_text": BPE,
    "qwen3_5": BPE,
    "qwen3_5_moe_text": BPE,
    "deepseek_v2": DEEPSEEK,
    "deepseek_v3": DEEPSEEK,
    "gemma3_text": GEMMA,
    "gemma3": GEMMA,
    "gemma": GEMMA1,
    "gemma2": GEMMA_SPM,
    "phi3": PHI3,
    "internlm2": INTERNLM2,
    "internlm3": INTERNLM3,
    "minicpm": MINICPM,
    "minicpm3": MINICPM,
    "ernie4_5": ERNIE,
    "baichuan": BAICHUAN,
    "granite": GRANITE,
    "apertus": APERTUS,
    "glm4": GLM4,
    "glm4_moe": GLM,
    "chatglm": CHATGLM,
    "gemma4_text": GEMMA4,
    "mamba": MAMBA,
    "mamba2": MAMBA2,
    "granitemoehybrid": GRANITE_HYBRID,
    "nemotron_h": NEMOTRON_H,
    "hunyuan_v1_dense": HUNYUAN_DENSE,
}

PARAMETERS = [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else []) for case in CASES]


def described(found: Field, golden: dict[str, Any]) -> dict[str, Any]:
    """The field in the form that its golden record has (`tests/golden/record.py`)."""
    record: dict[str, Any] = {"type": found.type.name}
    if found.item_type is not None:
        record["item"] = found.item_type.name
    if "sha256" in golden:
        text = json.dumps(found.value, separators=(",", ":"))
        record |= {"sha256": hashlib.sha256(text.encode()).hexdigest(), "n": len(found.value)}
    if "value" in golden:
        record["value"] = list(found.value) if found.item_type is not None else found.value
    return record


def splits_otherwise(folder: Path, golden: dict[str, Any]) -> bool:
    """Whether llama.cpp makes other tokens than the library of what the reference writes; see test_token_ids.py."""
    model, pre = (golden.get(f"tokenizer.ggml.{key}", {}).get("value") for key in ("model", "pre"))
    return pre == "refact" or (model == "llama" and not (folder / "tokenizer.model").exists())


def test_there_is_a_golden_file_for_every_case():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {case.name for case in CASES}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder shared/ beside the project")
@pytest.mark.parametrize("case", PARAMETERS)
def test_keys_equal_the_references(case: Case, tmp_path: Path):
    folder = case.make(tmp_path, SHARED / "tokenizers")
    config = {**case.config, **case.config.get("text_config", {})}
    found = read_vocabulary(VOCABULARIES[case.model_type], FolderSidecars(folder), config, rows=case.rows)

    golden = json.loads((GOLDEN / f"{case.name}.json").read_text())
    assert [field.key for field in found.fields] == list(golden)
    assert {field.key: described(field, golden[field.key]) for field in found.fields} == golden
    assert bool(found.notes) == (case.name.endswith("-cut") or splits_otherwise(folder, golden))
