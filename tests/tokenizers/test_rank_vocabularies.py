"""Ranks and Mistral's files: keys as the reference wrote them, token ids as the libraries give them."""

from __future__ import annotations

import json
from collections.abc import Set
from pathlib import Path

import llama_tokenizer
import pytest
from rank_cases import CASES, GOLDEN, Case
from test_tokenizer_golden import described
from texts import TEXTS, differ

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.tokenizers.vocabularies import HUNYUAN_MOE, KIMI, KIMI_LINEAR, LLAMA
from quantize_cli.tokenizers.vocabulary import read_vocabulary

VOCABULARIES = {
    "LlamaForCausalLM": LLAMA,
    "DeepseekV3ForCausalLM": KIMI,
    "KimiLinearForCausalLM": KIMI_LINEAR,
    "HunYuanMoEV1ForCausalLM": HUNYUAN_MOE,
}
#: Texts that llama.cpp splits in another way than the library: under the names tekken and kimi-k2, a word ends at each
#: letter with a mark. The vocabularies do not have words of the other marked texts, and the cut ones not of any.
ENDS_AT_MARKS = {"Hindi", "Thai", "Bengali", "Tamil", "Burmese", "Arabic with vowels"}
ODD: dict[str, Set[str]] = dict.fromkeys(("tekken_240718", "tekken_240911", "kimi-whole"), ENDS_AT_MARKS)
TOKENS = "tokenizer.ggml.tokens"
BOS = "tokenizer.ggml.bos_token_id"
PARAMETERS = [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.from_package else []) for case in CASES]


def test_there_is_a_golden_file_for_every_case():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {case.name for case in CASES}


@pytest.mark.parametrize("case", PARAMETERS)
def test_keys_and_ids(case: Case, tmp_path: Path):
    folder = case.make(tmp_path)
    found = read_vocabulary(VOCABULARIES[case.architecture], FolderSidecars(folder), case.config)
    golden = json.loads((GOLDEN / f"{case.name}.json").read_text())
    if case.architecture.startswith("HunYuan"):  # the reference writes the number that the real vocabulary has for any
        assert golden["kv"][BOS]["value"] == 127957 + 2
        golden["kv"][BOS]["value"] = next(field.value for field in found.fields if field.key == TOKENS).index("<|bos|>")
    assert [field.key for field in found.fields] == list(golden["kv"])
    assert {field.key: described(field, golden["kv"][field.key]) for field in found.fields} == golden["kv"]
    assert not found.notes
    assert list(golden["ids"]) == list(TEXTS)
    ids = llama_tokenizer.token_ids(found.fields, TEXTS.values(), tmp_path / "vocabulary.gguf")
    assert differ(ids, golden["ids"].values()) == ODD.get(case.name, set())
