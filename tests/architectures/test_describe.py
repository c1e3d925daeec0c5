"""What the golden files do not show: traits, transforms, names, and every way in which a checkpoint can be at fault."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from architectures.broken import headers_of
from architectures.refusals import refuse
from golden.families.checkpoints import CASES

from quantize_cli.architectures.describe import describe
from quantize_cli.architectures.moves import RotaryInterleave
from quantize_cli.errors import CheckpointError, UnsupportedError

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def record():
    """A Llama of two layers: hidden 256, 4 heads, 2 key-value heads, ffn 512, vocabulary 512."""
    return json.loads((GOLDEN / "llama-untied.json").read_text())


@pytest.fixture
def config_json(record):
    return record["files"]["config.json"]


def load(stem):
    return json.loads((GOLDEN / f"{stem}.json").read_text())


def by_name(description):
    return {recipe.name: recipe for recipe in description.recipes}


def test_a_description_is_a_value(make_checkpoint, record):
    checkpoint = make_checkpoint(**record)
    assert describe(checkpoint) == describe(checkpoint)
    assert hash(describe(checkpoint).recipes) == hash(describe(checkpoint).recipes)


@pytest.mark.parametrize("stem", ["llama-untied", "llama-biases", "mistral"])
def test_queries_and_keys_of_llamas_are_interleaved(make_checkpoint, stem):
    for recipe in describe(make_checkpoint(**load(stem))).recipes:
        rotated = ".attn_q." in recipe.name or ".attn_k." in recipe.name
        assert recipe.moves == ((RotaryInterleave(64),) if rotated else ())


@pytest.mark.parametrize("stem", ["qwen2", "qwen3", "qwen3-bias"])
def test_nothing_of_a_qwen_is_rearranged(make_checkpoint, stem):
    assert all(recipe.moves == recipe.maps == () for recipe in describe(make_checkpoint(**load(stem))).recipes)


def test_tied_weights_stored_as_the_output_layer_become_the_embedding(make_checkpoint, record, config_json):
    config_json["tie_word_embeddings"] = True
    del record["tensors"]["model.embed_tokens.weight"]
    recipes = by_name(describe(make_checkpoint(**record)))
    assert recipes["token_embd.weight"].sources == ("lm_head.weight",)
    assert "output.weight" not in recipes


def test_the_name_is_the_checkpoints_not_the_folders(make_checkpoint, record):
    checkpoint = make_checkpoint(**{**record, "name": "0123456789abcdef"})
    object.__setattr__(checkpoint, "name", "SmolLM2-135M-Instruct")
    values = {field.key: field.value for field in describe(checkpoint).metadata}
    assert values["general.name"] == "SmolLM2 135M Instruct"
    assert values["general.basename"] == "SmolLM2"


BASES = {
    "Mixtral-4-experts": "MixtralModel",
    "Qwen3-MoE-stacked": "Qwen3MoeModel",
    "DeepSeek-V2-Lite": "DeepseekV2Model",
    "DeepSeek-V3-small": "DeepseekV3Model",  # with a layer that only predicts further tokens
    "Qwen3.5-equal-heads": "Qwen3_5TextModel",
    "Qwen3.5-MoE-single": "Qwen3_5MoeTextModel",
}


def bare(name: str) -> str:
    return re.sub(r"^model\.(language_model\.)?", "", name)


@pytest.mark.parametrize(("name", "base"), BASES.items())
def test_a_base_class_has_the_recipes_of_its_class_but_for_the_head(make_checkpoint, name, base):
    record = headers_of(CASES[name])
    whole = by_name(describe(make_checkpoint(**record)))
    record["files"]["config.json"]["architectures"] = [base]
    for part in ("text_config", "language_config"):
        record["files"]["config.json"].get(part, {}).pop("architectures", None)
    record["tensors"] = {bare(tensor): info for tensor, info in record["tensors"].items() if "lm_head" not in tensor}
    found = by_name(describe(make_checkpoint(**{**record, "name": "base"})))
    assert found.keys() == whole.keys() - {"output.weight"}
    for tensor, recipe in found.items():
        assert replace(recipe, sources=()) == replace(whole[tensor], sources=())
        assert recipe.sources == tuple(bare(source) for source in whole[tensor].sources)


def test_metadata_ends_before_what_the_format_decides(make_checkpoint, record):
    keys = [field.key for field in describe(make_checkpoint(**record)).metadata]
    assert keys[0] == "general.architecture"
    assert not {"general.file_type", "general.quantization_version"} & set(keys)


def test_rope_factors_are_a_tensor_of_values(make_checkpoint):
    first = describe(make_checkpoint(**load("llama-rope-llama3"))).recipes[0]
    assert (first.name, first.shape, first.sources) == ("rope_freqs.weight", (32,), ())
    assert first.values[0] == 1.0
    assert first.values[-1] == 32.0


def test_generation_config_that_is_not_json_is_passed_over(make_checkpoint, record):
    record["files"]["generation_config.json"] = "{"
    assert describe(make_checkpoint(**record)).metadata


FAULTS = {
    "not an object": ([], CheckpointError, "not a JSON object"),
    "not JSON": ("{", CheckpointError, "not a JSON object"),
    "nested without end": ("[" * 200_000, CheckpointError, "not a JSON object"),
    "a number without end": ('{"vocab_size": ' + "9" * 5000 + "}", CheckpointError, "not a JSON object"),
}


@pytest.mark.parametrize(("content", "kind", "words"), FAULTS.values(), ids=FAULTS)
def test_config_json_must_be_an_object(make_checkpoint, record, content, kind, words):
    record["files"]["config.json"] = content
    refuse(make_checkpoint(**record), kind, "config.json", words)


def test_config_json_must_be_there(make_checkpoint, record):
    del record["files"]["config.json"]
    refuse(make_checkpoint(**record), CheckpointError, "config.json is missing")


def test_config_json_must_be_text(make_checkpoint, record):
    checkpoint = make_checkpoint(**record)
    (checkpoint.folder / "config.json").write_bytes(b"\xff\xfe")
    refuse(checkpoint, CheckpointError, "config.json is not a JSON object")


def test_config_json_must_be_small(make_checkpoint, record):
    checkpoint = make_checkpoint(**record)
    with (checkpoint.folder / "config.json").open("r+b") as file:
        file.truncate((16 << 20) + 1)
    refuse(checkpoint, CheckpointError, "config.json is larger than 16 MiB")


VALUES = {
    "text for a size": ({"hidden_size": "256"}, "hidden_size"),
    "a fraction for a size": ({"hidden_size": 256.0}, "hidden_size"),
    "truth for a size": ({"num_attention_heads": True}, "num_attention_heads"),
    "a negative size": ({"intermediate_size": -512}, "intermediate_size"),
    "a size of zero": ({"num_key_value_heads": 0}, "num_key_value_heads"),
    "too many layers": ({"num_hidden_layers": 10_001}, "num_hidden_layers"),
    "a size beyond GGUF": ({"max_position_embeddings": 2**32}, "max_position_embeddings"),
    "text for a number": ({"rms_norm_eps": "1e-5"}, "rms_norm_eps"),
    "not a number": ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
    "an infinite number": ({"rope_theta": float("inf")}, "rope_theta"),
    "a number beyond float64": ({"rope_theta": 10**400}, "rope_theta"),
    "a list for an object": ({"rope_scaling": [1]}, "rope_scaling"),
    "a rope type of no kind": ({"rope_scaling": {"rope_type": 3}}, "rope_type"),
    "a rope factor of no kind": ({"rope_scaling": {"rope_type": "linear", "factor": "2"}}, "factor"),
    "a context of no kind": (
        {"rope_scaling": {"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": "8"}},
        "original_max_position_embeddings",
    ),
    "a llama3 factor of zero": ({"rope_scaling": {"rope_type": "llama3", "factor": 0}}, "factor"),
    "llama3 factors the wrong way": (
        {"rope_scaling": {"rope_type": "llama3", "low_freq_factor": 4, "high_freq_factor": 1}},
        "low_freq_factor",
    ),
    "a llama3 factor that float32 cannot hold": ({"rope_scaling": {"rope_type": "llama3", "factor": 1e-60}}, "llama3"),
    "heads that do not share the hidden size": ({"num_attention_heads": 6}, "not a multiple of its 6"),
    "heads that do not share key-value heads": ({"num_key_value_heads": 3}, "cannot share 3"),
    "a head without pairs": ({"head_dim": 63}, "63 wide"),
}


@pytest.mark.parametrize(("change", "words"), VALUES.values(), ids=VALUES)
def test_values_must_be_of_their_kind(make_checkpoint, record, config_json, change, words):
    config_json.update(change)
    refuse(make_checkpoint(**record), CheckpointError, "config.json", words)


@pytest.mark.parametrize(
    "name", ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"]
)
def test_sizes_without_default_must_be_there(make_checkpoint, record, config_json, name):
    del config_json["model_type"], config_json[name]
    refuse(make_checkpoint(**record), CheckpointError, "config.json lacks", name)


def test_an_ignored_buffer_may_have_any_dtype(make_checkpoint):
    record = load("llama-old-buffers")
    record["tensors"]["model.layers.0.self_attn.rotary_emb.inv_freq"][0] = "I32"
    assert describe(make_checkpoint(**record)).recipes


CARDS = {
    "YAML": {"README.md": "---\nname: [\n---\n"},
    "an unquoted version": {"README.md": "---\nversion: 1.0\n---\n"},
    "a license of no kind": {"README.md": "---\nlicense: [1]\n---\n"},
    "half a character": {"README.md": '---\nname: "\\ud800"\n---\n'},
    "a timestamp of no kind": {"README.md": "---\nname: !!timestamp x\n---\n"},
    "tags of no kind": {"README.md": "---\ntags: [a, 1]\n---\n"},
    "sampling of no kind": {"generation_config.json": {"top_k": "many"}},
    "sampling beyond GGUF": {"generation_config.json": {"top_k": 2**40}},
}


@pytest.mark.parametrize("files", CARDS.values(), ids=CARDS)
def test_a_card_that_cannot_be_written(make_checkpoint, record, files):
    """The model is not refused for it."""
    record["files"].update(files)
    (note,) = describe(make_checkpoint(**record)).notes
    assert all(file in note for file in files)


@pytest.mark.parametrize(
    "card", ["", "---\n", "---\n- a list\n---\n", "---\nbase_model: [null, {a: 1}]\ndatasets: 3\n---\n"]
)
def test_a_card_that_says_nothing(make_checkpoint, record, card):
    record["files"]["README.md"] = card
    assert describe(make_checkpoint(**record)).metadata


def test_rerankers_need_tokens_for_their_answers(make_checkpoint):
    record = load("qwen3")
    refuse(make_checkpoint(**{**record, "name": "Qwen3-Reranker-0.6B"}), CheckpointError, "'yes' and 'no'")
    record["files"]["README.md"] = "# Qwen3-Reranker-0.6B\n"
    refuse(make_checkpoint(**{**record, "name": "renamed"}), CheckpointError, "'yes' and 'no'")


POOLING = {
    "not a list": ("7", CheckpointError, "modules.json"),
    "modules of no kind": ('[{"type": 7}]', CheckpointError, "modules.json"),
    "an absolute path": ('[{"type": "Pooling", "path": "/etc"}]', CheckpointError, "leaves the folder"),
    "a path upwards": ('[{"type": "Pooling", "path": "a/../../b"}]', CheckpointError, "leaves the folder"),
    "a path of no kind": ('[{"type": "Pooling", "path": 7}]', CheckpointError, "leaves the folder"),
    "a path that is none": ('[{"type": "Pooling", "path": "a\\u0000b"}]', CheckpointError, "cannot be read"),
    "a path to nothing": ('[{"type": "Pooling", "path": "none"}]', CheckpointError, "none/config.json"),
    "a pooling of its own": ('[{"type": "Pooling", "path": "1_Pooling"}]', UnsupportedError, "pooling"),
}


@pytest.mark.parametrize(("modules", "kind", "words"), POOLING.values(), ids=POOLING)
def test_pooling_modules_are_checked(make_checkpoint, modules, kind, words):
    record = load("qwen3")
    record["files"] |= {"modules.json": modules, "1_Pooling/config.json": {"pooling_mode_weightedmean_tokens": True}}
    refuse(make_checkpoint(**record), kind, words)


def test_modules_without_pooling_say_nothing(make_checkpoint):
    record = load("qwen3")
    record["files"]["modules.json"] = '[{"type": "Transformer", "path": ""}]'
    keys = [field.key for field in describe(make_checkpoint(**record)).metadata]
    assert not [key for key in keys if "pooling" in key]
