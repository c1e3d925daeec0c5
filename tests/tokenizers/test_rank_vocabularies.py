"""tekken, tiktoken's ranks and Mistral's SentencePiece files: keys as the reference's, ids as the libraries'."""

from __future__ import annotations

import json
from pathlib import Path

import llama_tokenizer
import pytest
from rank_cases import CASES, GOLDEN, TEXTS, Case, package_data
from test_tokenizer_golden import described

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.tokenizers.vocabularies import HUNYUAN_MOE, KIMI, KIMI_LINEAR, LLAMA
from quantize_cli.tokenizers.vocabulary import read_vocabulary

VOCABULARIES = {
    "LlamaForCausalLM": LLAMA,
    "DeepseekV3ForCausalLM": KIMI,
    "KimiLinearForCausalLM": KIMI_LINEAR,
    "HunYuanMoEV1ForCausalLM": HUNYUAN_MOE,
}
without_package = pytest.mark.skipif(package_data() is None, reason="needs the package mistral-common")
BOS = "tokenizer.ggml.bos_token_id"
PARAMETERS = [pytest.param(case, id=case.name, marks=[without_package] if case.from_package else []) for case in CASES]


def test_there_is_a_golden_file_for_every_case():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {case.name for case in CASES}


@pytest.mark.parametrize("case", PARAMETERS)
def test_keys_and_ids(case: Case, tmp_path: Path):
    folder = case.make(tmp_path)
    found = read_vocabulary(VOCABULARIES[case.architecture], FolderSidecars(folder), case.config)
    golden = json.loads((GOLDEN / f"{case.name}.json").read_text())
    if case.name == "hunyuan-moe":  # the reference writes the real vocabulary's number of <|bos|> for any
        assert golden["kv"][BOS]["value"] == 127957 + 2
        golden["kv"][BOS]["value"] = 1024 + 2
    assert [field.key for field in found.fields] == list(golden["kv"])
    assert {field.key: described(field, golden["kv"][field.key]) for field in found.fields} == golden["kv"]
    assert not found.notes
    assert llama_tokenizer.token_ids(found.fields, TEXTS, tmp_path / "vocabulary.gguf") == golden["ids"]
