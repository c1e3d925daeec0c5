"""What no mix touches, kind by kind: the converter's F32 in every family, and the names that llama-quantize keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from golden.families.case import build
from golden.families.checkpoints import CASES
from mix_types.record import BASE, kind_of, tensor_shapes

import quantize_cli
from quantize_cli.mixes.kept import why_kept

# In F32, family by family.

DENSE = {"attn_norm.weight", "ffn_norm.weight", "output_norm.weight"}
QK_NORM = {"attn_q_norm.weight", "attn_k_norm.weight"}
ROUTER = {"ffn_gate_inp.weight"}
LINEAR = {"ssm_a", "ssm_conv1d.weight", "ssm_dt.bias", "ssm_norm.weight"}
QWEN_3_5 = {"attn_norm.weight", "post_attention_norm.weight", "output_norm.weight"} | QK_NORM | LINEAR
MTP = {"nextn.enorm.weight", "nextn.hnorm.weight", "nextn.shared_head_norm.weight"}

#: Family, or checkpoint of golden/families -> the kinds that the reference's file has in F32, and no others.
IN_F32 = {
    "llama": DENSE,
    "mistral": DENSE,
    "qwen2": DENSE | {"attn_q.bias", "attn_k.bias", "attn_v.bias"},
    "qwen3": DENSE | QK_NORM,
    "Mixtral-4-experts": DENSE | ROUTER,
    "Qwen3-MoE-single": DENSE | QK_NORM | ROUTER,
    "DeepSeek-V3-small": DENSE | ROUTER | {"attn_q_a_norm.weight", "attn_kv_a_norm.weight", "exp_probs_b.bias"},
    "Gemma3-it-new-names": DENSE | QK_NORM | {"post_attention_norm.weight", "post_ffw_norm.weight"},
    "Qwen3.5-grouped-heads": QWEN_3_5 | MTP,
    "Qwen3.5-MoE-stacked": QWEN_3_5 | MTP | ROUTER | {"ffn_gate_inp_shexp.weight"},
}


@pytest.fixture(scope="module")
def types_by_kind(tmp_path_factory):
    """A function from a key of IN_F32 to the types that Q4_K_M gives each kind of its tensors."""

    @cache
    def types(family: str) -> dict[str, set[str]]:
        parent = tmp_path_factory.mktemp("kept")
        case = CASES.get(family)
        folder = build(case, parent) if case else make_checkpoint(parent / family, family, num_hidden_layers=1)
        pre_tokenizer = case.vocabulary.pre_tokenizer if case else PRE_TOKENIZER
        found: dict[str, set[str]] = {}
        for tensor in quantize_cli.plan(folder, "q4_k_m", pre_tokenizer=pre_tokenizer).tensors:
            found.setdefault(re.sub(r"^blk\.\d+\.", "", tensor.name), set()).add(tensor.type)
        return found

    return types


@pytest.mark.parametrize(
    ("family", "kind"), [(family, kind) for family, kinds in IN_F32.items() for kind in sorted(kinds)]
)
def test_a_kind_is_in_f32(family, kind, types_by_kind):
    assert types_by_kind(family)[kind] == {"F32"}


@pytest.mark.parametrize("family", IN_F32)
def test_nothing_else_is_in_f32(family, types_by_kind):
    assert {kind for kind, types in types_by_kind(family).items() if "F32" in types} == IN_F32[family]


# What llama-quantize leaves as it is, name by name.

RECORDS = Path(__file__).parent / "mix_types" / "types.jsonl"


def curious() -> Iterator[tuple[str, str, tuple[int, ...], bool]]:
    """Architecture, name, shape, and whether the reference's Q8_0 leaves the tensor in the F32 of its source."""
    for line in RECORDS.read_text().splitlines():
        record = json.loads(line)
        model = {**BASE, **record["model"]}
        if not model.get("curiosities") or model.get("overrides") or model["tied"]:
            continue
        commonest, *words = record["types"][model["mixes"].index("Q8_0")].split()
        others = dict(word.split("=") for word in words)
        for name, shape in tensor_shapes(model).items():
            yield model["architecture"], name, shape, others.get(kind_of(name), commonest) == "F32"


CURIOUS = list(curious())


@pytest.mark.parametrize(
    ("architecture", "name", "shape", "kept"),
    CURIOUS,
    ids=[f"{architecture}-{name}" for architecture, name, *_ in CURIOUS],
)
def test_a_name_is_kept_where_the_reference_keeps_it(architecture, name, shape, kept):
    assert (why_kept(name, shape, architecture) is not None) == kept


@pytest.mark.parametrize("architecture", ["llama", "glm5-next"])
def test_names_are_kept_and_names_like_them_are_not(architecture):
    kept = [kept for found, _, _, kept in CURIOUS if found == architecture]
    assert kept.count(True) >= 40
    assert kept.count(False) >= 20
