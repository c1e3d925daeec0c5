"""What is told of experts and layers that do not fit, and of shapes of any kind."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace

import pytest
from architectures.broken import add, config, headers_of, remove, rename, reshape
from architectures.refusals import refuse
from golden.families.checkpoints import CASES

from quantize_cli.architectures.describe import describe
from quantize_cli.errors import CheckpointError, QuantizeError

FAMILIES_OF_TENSORS = (
    "Mixtral-4-experts",
    "Qwen3-MoE-stacked",
    "DeepSeek-V3-small",
    "Gemma3-json",
    "Qwen3.5-MoE-single",
)


@pytest.mark.parametrize("name", FAMILIES_OF_TENSORS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (0, 256), (256, 0), (1, 1), (3, 0, 5), (1, 1, 1), (2,) * 5])
def test_no_shape_leads_to_anything_but_a_sentence(make_checkpoint, name, shape):
    record = headers_of(CASES[name])
    checkpoint = make_checkpoint(**record)
    describe(checkpoint)
    one_of_each = {re.sub(r"\d+", "", tensor): tensor for tensor in checkpoint.infos}
    for tensor in one_of_each.values():
        info = checkpoint.infos[tensor]
        checkpoint.infos[tensor] = replace(info, shape=shape)
        with suppress(QuantizeError):
            description = describe(checkpoint)
            assert shape == info.shape or not any(tensor in recipe.sources for recipe in description.recipes)
        checkpoint.infos[tensor] = info


EXPERTS = {
    "fewer": ([config(num_local_experts=3)], "num_local_experts 3", "set num_local_experts to 4"),
    "a hole": (
        [remove(r"1\..*experts\.2\.w1")],
        "lacks experts between others",
        "'model.layers.1.block_sparse_moe.experts.2",
    ),
    "another dtype": ([reshape(r"1\..*experts\.2\.w1", list, "BF16")], "1 expert unlike the first", "BF16", "F16"),
    "another shape": ([reshape(r"1\..*experts\.2\.w1", lambda s: [s[0], 64])], "1 expert unlike", "[256, 64]"),
    "twice": (
        [add("language_model.model.layers.1.block_sparse_moe.experts.2.w1.weight")],
        "1 tensor twice",
        "remove one",
    ),
    "single and stacked": ([add("model.layers.1.block_sparse_moe.experts.w1.weight")], "1 tensor twice", "remove one"),
    "zeros before a number": ([rename(r"experts\.2\.", "experts.02.")], None),
}


@pytest.mark.parametrize(("changes", "words"), [(c, w) for c, *w in EXPERTS.values()], ids=EXPERTS)
def test_experts_that_do_not_fit(make_checkpoint, changes, words):
    record = headers_of(CASES["Mixtral-4-experts"])
    for change in changes:
        change(record)
    if words == [None]:
        assert describe(make_checkpoint(**record)).recipes
    else:
        refuse(make_checkpoint(**record), CheckpointError, *words)


def layers(number: int):
    """Set the number of layers where the text model has it."""

    def change(record):
        values = record["files"]["config.json"]
        values.get("text_config", values)["num_hidden_layers"] = number
        values.get("text_config", values).pop("layer_types", None)

    return change


#: Family's case -> changes, and words. DeepSeek-V3-small has two layers, a dense one first, and then one that predicts;
#: Qwen3.5-equal-heads has four, and one that predicts, which is numbered apart.
LAYERS_OF_FAMILIES = {
    "DeepSeek, fewer": (
        "DeepSeek-V3-small",
        layers(1),
        "num_hidden_layers 1, but",
        "tensors of later layers ('model.layers.1.self_attn.q_a_proj.weight'",
        "so it has 2 layers; set num_hidden_layers to 2",
    ),
    "DeepSeek, a sparse layer for a dense one": (
        "DeepSeek-V3-small",
        config(first_k_dense_replace=0),
        "makes layers of another kind than",
        "'model.layers.0.mlp.down_proj.weight'",
        "in place of the tensors that become blk.0.ffn_gate_inp.weight",
    ),
    "DeepSeek, a dense layer for a sparse one": (
        "DeepSeek-V3-small",
        config(first_k_dense_replace=2),
        "makes layers of another kind than",
        "in place of the tensors that become blk.1.ffn_gate.weight, blk.1.ffn_up.weight",
    ),
    "Qwen 3.5, fewer": (
        "Qwen3.5-equal-heads",
        layers(2),
        "num_hidden_layers 2, but",
        "tensors of later layers ('model.layers.2.",
        "so it has 4 layers; set",
    ),
    "Qwen 3.5, one fewer": ("Qwen3.5-equal-heads", layers(3), "num_hidden_layers 3, but", "so it has 4 layers; set"),
    "Qwen 3.5, more": ("Qwen3.5-equal-heads", layers(12), "no tensor of layer 4", "so it has 4 layers; set"),
}


#: config.json has null; llama.cpp then takes the metadata's default, so the tensors are held against that.
NULLS_OF_GEMMA = {"head_dim": ("head_dim 256", "head_dim to 64"), "num_attention_heads": ("num_attention_heads 8",)}


@pytest.mark.parametrize(("key", "words"), NULLS_OF_GEMMA.items())
def test_a_number_that_is_null_is_the_default_of_the_metadata(make_checkpoint, key, words):
    record = headers_of(CASES["Gemma3-json"])
    values = record["files"]["config.json"]
    values.get("text_config", values)[key] = None
    refuse(make_checkpoint(**record), CheckpointError, *words)


@pytest.mark.parametrize(("case", "change", "words"), [(a, b, c) for a, b, *c in LAYERS_OF_FAMILIES.values()])
def test_layers_of_a_family_that_has_layers_of_several_kinds(make_checkpoint, case, change, words):
    record = headers_of(CASES[case])
    change(record)
    refuse(make_checkpoint(**record), CheckpointError, *words)
