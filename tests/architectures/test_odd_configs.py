"""Odd values in config.json: those that a family makes no use of are no fault, others are named."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from golden.families.case import build
from golden.families.checkpoints import CASES

from quantize_cli import plan
from quantize_cli.errors import CheckpointError, QuantizeError

QWEN, GEMMA, UNLISTED = CASES["Qwen3.5-odd-rows"], CASES["Gemma3-json"], CASES["Qwen3.5-without-MTP"]


@pytest.fixture(autouse=True)
def _no_vocabulary() -> None:
    """Undo the fixture of this folder: these plans are whole."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("odd")
    return {case.name: build(case, parent) for case in (QWEN, GEMMA, UNLISTED)}


@pytest.fixture
def planned(folders, tmp_path):
    """(case, changes) -> the plan of the case with these changes to config.json; None removes a key."""

    def make(case, **changes):
        folder = shutil.copytree(folders[case.name], tmp_path / case.name)
        values = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(values))
        return plan(folder, "bf16", pre_tokenizer=case.vocabulary.pre_tokenizer)

    return make


def keys_of(made):
    return {field.key: field.value for field in made.files[0].metadata}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tie_word_embeddings": ""}, "tie_word_embeddings has the wrong type"),
        ({"rms_norm_eps": 7}, "rms_norm_eps has the wrong type"),
        ({"num_labels": []}, "the labels are not numbered"),
        ({"id2label": [1]}, "the labels are not numbered"),
    ],
)
def test_a_config_that_transformers_refuses_is_read_as_it_stands(changes, reason, planned):
    """As the reference reads it; llama.cpp finds the kinds of layers by their interval then."""
    made = planned(UNLISTED, **changes)
    (warning,) = made.warnings
    assert warning.endswith(f"config.json is read without the defaults of its model type, because {reason}.")
    assert "qwen35.attention.recurrent_layers" not in keys_of(made)
    assert keys_of(made)["qwen35.full_attention_interval"] == 4


def test_what_follows_from_it_names_it(planned):
    with pytest.raises(QuantizeError) as raised:
        planned(GEMMA, tie_word_embeddings="", num_attention_heads=None)
    says = r"\(config\.json is read without the defaults of its model type, because \w+ has the wrong type\)\.$"
    assert re.search(says, str(raised.value))


def test_a_value_is_not_named_twice(planned):
    with pytest.raises(CheckpointError, match=r"gives hidden_size as 'x', but it must be [^(]*$"):
        planned(GEMMA, hidden_size="x")


def test_sections_of_rope_cannot_be_set(planned):
    rope = {**QWEN.config["rope_parameters"], "mrope_section": None}
    with pytest.raises(CheckpointError, match=r"without qwen35\.rope\.dimension_sections, .* correct the file\.$"):
        planned(QWEN, rope_parameters=rope)


@pytest.mark.parametrize("value", [[], "", 0, False, {}])
def test_an_empty_rope_is_none(value, planned):
    assert planned(GEMMA, rope_scaling=value).tensors


def test_a_context_of_null_is_named(planned):
    with pytest.raises(CheckpointError, match=r"^\S+/Qwen3\.5-odd-rows/config\.json does not give max_position_embed"):
        planned(QWEN, max_position_embeddings=None)


def test_more_layers_of_prediction_than_there_are(planned):
    with pytest.raises(CheckpointError, match=r"gives mtp_num_hidden_layers as 2, but \S+ has tensors of 1; correct"):
        planned(QWEN, mtp_num_hidden_layers=2)


def test_experts_of_a_model_without_experts(planned):
    says = re.escape(
        "gemma3.expert_used_count (made of num_experts_per_tok or num_experts_per_token or top_k_experts) is missing"
    )
    with pytest.raises(CheckpointError, match=says):
        planned(GEMMA, num_experts=8)


def test_rotation_of_nothing(planned):
    rope = {**QWEN.config["rope_parameters"], "partial_rotary_factor": 0.0}
    with pytest.raises(CheckpointError, match=r"rope\.dimension_count is 0, but llama\.cpp rotates pairs"):
        planned(QWEN, rope_parameters=rope)


def test_long_lists_take_no_time(planned):
    """A list for each of a model's layers is not searched layer by layer, nor key by key."""
    rope = {str(number): 1 for number in range(50_000)}
    with pytest.raises(CheckpointError, match="layer_types"):
        planned(QWEN, layer_types=["x"] * 200_000, rope_parameters=rope)
