"""Checkpoint names against the reference's own map (golden/names)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from quantize_cli.architectures.names import MAX_NAME_LENGTH, TensorNames
from quantize_cli.architectures.reference_data import read_data
from quantize_cli.errors import UnsupportedError

GOLDEN = json.loads((Path(__file__).parent / "golden" / "names" / "names.json").read_text())
DATA = read_data("names.json")
LAYERS = 2


def candidates(architecture: str) -> set[str]:
    """Every name that may mean one of the architecture's kinds in a model with one layer more."""
    own = DATA["overrides"].get(architecture, {})
    patterns = set()
    for kind in DATA["architectures"][architecture].split():
        gguf_name, *common = DATA["kinds"][kind]
        if checkpoint_names := own.get(kind, common):
            patterns.update((gguf_name, *common, *checkpoint_names))
    return {pattern.replace("{bid}", str(block)) for pattern in patterns for block in range(LAYERS + 1)}


def lines(architecture: str) -> list[str]:
    names = TensorNames(architecture, LAYERS)
    found = {name: names.gguf_name(name) for name in candidates(architecture)}
    # A pattern that ends in .weight itself is found again without the ending, which the map alone does not do.
    found = {name: to for name, to in found.items() if to is not None and not to.endswith(".weight")}
    return [f"{name} -> {to}\n" for name, to in sorted(found.items())]


def test_all_architectures_are_there() -> None:
    assert len(GOLDEN["digests"]) == 153
    assert set(DATA["architectures"]) == set(GOLDEN["digests"])


@pytest.mark.parametrize("architecture", sorted(GOLDEN["digests"]))
def test_every_name_leads_where_the_reference_leads(architecture: str) -> None:
    made = lines(architecture)
    digest = hashlib.sha256("".join(made).encode()).hexdigest()
    assert {"names": len(made), "sha256": digest} == GOLDEN["digests"][architecture]


@pytest.mark.parametrize("architecture", sorted(GOLDEN["samples"]))
def test_samples_name_by_name(architecture: str) -> None:
    names, expected = TensorNames(architecture, LAYERS), GOLDEN["samples"][architecture]
    assert expected
    assert {name: names.gguf_name(name) for name in expected} == expected
    for suffix in (".weight", ".bias"):
        assert {name: names.gguf_name(name + suffix) for name in expected} == {
            name: to + suffix for name, to in expected.items()
        }


@pytest.mark.parametrize("architecture", ["llama", "bert", "t5"])
def test_names_of_other_architectures_are_unknown(architecture: str) -> None:
    names, own = TensorNames(architecture, LAYERS), candidates(architecture)
    foreign = {name for other in GOLDEN["samples"] for name in candidates(other)} - own
    foreign -= {name for name in foreign if name.removesuffix(".weight") in own}
    assert len(foreign) > 500
    assert {name: names.gguf_name(name) for name in foreign} == dict.fromkeys(foreign)


def test_ambiguous_patterns_follow_the_architecture() -> None:
    name = "model.layers.1.post_attention_layernorm.weight"
    assert TensorNames("llama", 2).gguf_name(name) == "blk.1.ffn_norm.weight"
    assert TensorNames("arctic", 2).gguf_name(name) == "blk.1.ffn_norm_exps.weight"
    assert TensorNames("glm4", 2).gguf_name(name) == "blk.1.ffn_norm.weight"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.31.self_attn.q_proj.weight", "blk.31.attn_q.weight"),
        ("model.layers.31.self_attn.q_proj.bias", "blk.31.attn_q.bias"),
        ("model.layers.31.self_attn.q_proj", "blk.31.attn_q"),
        ("model.layers.32.self_attn.q_proj.weight", None),
        ("model.layers.01.self_attn.q_proj.weight", None),
        ("model.layers.-1.self_attn.q_proj.weight", None),
        ("model.layers.٣.self_attn.q_proj.weight", None),
        ("model.layers.{bid}.self_attn.q_proj.weight", None),
        ("blk.{bid}.attn_q.weight", None),
        ("model.layers.0.self_attn.q_proj.weight.bias", None),
        ("model.layers.0.self_attn.q_proj.weight_scale", None),
        ("blk.0.attn_q.weight", "blk.0.attn_q.weight"),
        ("output.weight", "output.weight"),
        ("lm_head.weight", "output.weight"),
        ("", None),
        (".weight", None),
        ("model.layers." + "9" * 400 + ".self_attn.q_proj.weight", None),
        ("model.layers." + "9" * 200 + ".self_attn.q_proj.weight", None),
    ],
)
def test_numbers_and_suffixes(name: str, expected: str | None) -> None:
    assert TensorNames("llama", 32).gguf_name(name) == expected


def test_no_pattern_comes_near_the_longest_name() -> None:
    longest = max(len(name) for names in DATA["kinds"].values() for name in names)
    assert longest + len(".weight") + 2 * 9 < MAX_NAME_LENGTH


def test_kinds_are_those_of_the_architecture() -> None:
    kinds = TensorNames("llama", 2).kinds
    assert kinds["ATTN_Q"] == "blk.{bid}.attn_q"
    assert kinds["TOKEN_EMBD"] == "token_embd"
    assert "SSM_CONV1D" not in kinds


def test_kinds_without_a_checkpoint_name_stand_for_themselves() -> None:
    names = TensorNames("deepseek4", 2)
    assert names.gguf_name("blk.1.attn_kv.weight") == "blk.1.attn_kv.weight"


def test_unknown_architecture() -> None:
    with pytest.raises(UnsupportedError, match="GGUF does not have the architecture 'llama9'"):
        TensorNames("llama9", 2)


def test_experts_are_stacked_before_they_are_named() -> None:
    names = TensorNames("deepseek2", 61)
    assert names.gguf_name("model.layers.7.mlp.experts.255.down_proj.weight") is None
    assert names.gguf_name("model.layers.7.mlp.experts.down_proj.weight") == "blk.7.ffn_down_exps.weight"
