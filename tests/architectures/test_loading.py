"""What llama.cpp's loader demands; every refusal here is one that the reference was seen to make."""

from __future__ import annotations

import re

import pytest

from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.loading import check_loads
from quantize_cli.architectures.origin import Origin
from quantize_cli.errors import CheckpointError, UnsupportedError
from quantize_cli.gguf_file.fields import Field, ValueType, array, field

U32, F32, STR = ValueType.UINT32, ValueType.FLOAT32, ValueType.STRING
FILE = Origin("tiny.gguf")
CONFIG = Origin("tiny/config.json", {"llama.context_length": ("max_position_embeddings", "n_ctx")})

LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 3,
    "llama.context_length": 128,
    "llama.embedding_length": 256,
    "llama.attention.head_count": 4,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}


def fields_of(values: dict[str, object]) -> list[Field]:
    kinds = {str: STR, float: F32, int: U32}
    return [
        value if isinstance(value, Field) else field(key, kinds[type(value)], value)
        for key, value in values.items()
        if value is not None
    ]


def check(changes: dict[str, object], origin: Origin = FILE) -> None:
    check_loads(fields_of(LLAMA | changes), origin)


def each(key: str, *values: int) -> Field:
    return array(key, ValueType.INT32, values)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"llama.attention.head_count": each("llama.attention.head_count", 4, 2, 1)},
        {"llama.attention.layer_norm_rms_epsilon": 0.0},
        {"llama.block_count": 512},
        {"llama.expert_count": 1024, "llama.expert_used_count": 8},
        {"llama.expert_count": 8, "llama.expert_used_count": 2, "llama.expert_group_count": 1},
        {"llama.rope.scaling.type": "yarn"},
        {"llama.vocab_size": 7},
    ],
)
def test_what_the_loader_takes(changes):
    check(changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"llama.context_length": 0}, "llama.context_length is 0, but llama.cpp wants 1 or more"),
        ({"llama.block_count": 0}, "llama.block_count is 0, but llama.cpp wants 1 to 512"),
        ({"llama.block_count": 513}, "llama.block_count is 513"),
        ({"llama.block_count": Field("llama.block_count", ValueType.INT32, 3)}, "is INT32, but llama.cpp wants UINT32"),
        ({"llama.block_count": each("llama.block_count", 3)}, "is a list, but llama.cpp wants UINT32"),
        (
            {"llama.attention.head_count": each("llama.attention.head_count", 4, 2)},
            "a list of 2, but llama.cpp wants 3",
        ),
        (
            {"llama.attention.head_count": array("llama.attention.head_count", STR, ("4", "4", "4"))},
            "is STRING, but llama.cpp wants UINT32",
        ),
        ({"llama.attention.head_count": 0}, "llama.attention.head_count is 0"),
        ({"llama.attention.layer_norm_rms_epsilon": -1.0}, "epsilon is -1.0, but llama.cpp wants 0 or more"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "epsilon is nan"),
        ({"llama.expert_count": 1025, "llama.expert_used_count": 1}, "llama.expert_count is 1025"),
        ({"llama.expert_count": 8}, "llama.expert_used_count is missing or 0, but the model has 8 experts"),
        ({"llama.expert_used_count": 2}, "llama.expert_used_count is 2, but the model has 0 experts"),
        (
            {"llama.expert_count": 8, "llama.expert_used_count": 2, "llama.expert_group_count": 8},
            "llama.expert_group_count is 8, but the model has 8 experts",
        ),
        (
            {"llama.expert_count": 8, "llama.expert_used_count": 2, "llama.expert_group_count": 3},
            "which cannot be shared evenly",
        ),
        (
            {"llama.expert_count": 8, "llama.expert_used_count": 2, "llama.expert_group_count": 2},
            "llama.expert_group_used_count is 0",
        ),
        ({"llama.expert_group_count": 1}, "llama.expert_group_count is 1, but the model has 0 experts"),
        ({"llama.nextn_predict_layers": 4}, "llama.nextn_predict_layers is 4, but the model has 3 layers"),
        ({"llama.rope.dimension_count": 32}, "is 32, but an attention head is 64 wide, and all of it rotates"),
        ({"llama.attention.key_length": 63}, "llama.rope.dimension_count is 63, but llama.cpp rotates pairs"),
        ({"llama.rope.scaling.type": "su"}, "llama.rope.scaling.type is 'su', but llama.cpp knows linear, longrope"),
    ],
)
def test_what_the_loader_refuses(changes, says):
    with pytest.raises(CheckpointError, match=re.escape(says)) as raised:
        check(changes)
    assert str(raised.value).startswith("tiny.gguf leads to a file that llama.cpp does not load: llama.")


REQUIRED = ("context_length", "embedding_length", "block_count", "attention.head_count")


@pytest.mark.parametrize("key", [*REQUIRED, "attention.layer_norm_rms_epsilon"])
def test_a_key_that_is_missing(key):
    with pytest.raises(CheckpointError, match=rf"^tiny.gguf leads to a file without llama\.{re.escape(key)}, and"):
        check({f"llama.{key}": None})


def test_a_missing_key_is_named_as_in_the_configuration():
    with pytest.raises(CheckpointError) as raised:
        check({"llama.context_length": None}, CONFIG)
    assert str(raised.value) == (
        "tiny/config.json does not give max_position_embeddings or n_ctx, which becomes llama.context_length, and "
        "llama.cpp does not load a llama model without it; correct the file, or set it with --override-kv "
        "llama.context_length=int:N."
    )


def test_every_family_has_demands_of_its_own():
    for family in FAMILIES.values():
        values = {key.replace("llama", family.architecture): value for key, value in LLAMA.items()}
        values |= {"general.architecture": family.architecture, f"{family.architecture}.attention.head_count": None}
        with pytest.raises(CheckpointError, match=rf"leads to a file without {family.architecture}\."):
            check_loads(fields_of(values), FILE)


@pytest.mark.parametrize("light", [(26, None), (27, None), (48, 128256)])
def test_deepseek_needs_a_rank_of_queries_unless_it_is_light(light):
    layers, vocabulary = light
    values = {
        "general.architecture": "deepseek2",
        "deepseek2.block_count": layers,
        "deepseek2.context_length": 128,
        "deepseek2.embedding_length": 256,
        "deepseek2.vocab_size": vocabulary,
        "deepseek2.attention.head_count": 4,
        "deepseek2.attention.layer_norm_rms_epsilon": 1e-5,
        "deepseek2.attention.kv_lora_rank": 64,
        "deepseek2.expert_feed_forward_length": 64,
        "deepseek2.expert_shared_count": 1,
    }
    check_loads(fields_of(values), FILE)
    with pytest.raises(CheckpointError, match=r"attention\.q_lora_rank is missing"):
        check_loads(fields_of(values | {"deepseek2.block_count": 12}), FILE)
    check_loads(fields_of(values | {"deepseek2.block_count": 12, "deepseek2.attention.q_lora_rank": 8}), FILE)


def test_heads_that_share_the_width_of_the_model():
    values = {key.replace("llama", "qwen2"): value for key, value in LLAMA.items()} | {"general.architecture": "qwen2"}
    check_loads(fields_of(values | {"qwen2.attention.key_length": 64}), FILE)
    with pytest.raises(CheckpointError, match=r"key_length is 32, but llama\.cpp wants 4 heads that share 256"):
        check_loads(fields_of(values | {"qwen2.attention.key_length": 32}), FILE)


def test_the_sections_of_rope_are_not_all_empty():
    values = {key.replace("llama", "qwen35"): value for key, value in LLAMA.items()}
    values |= {f"qwen35.ssm.{name}": 4 for name in ("conv_kernel", "inner_size", "state_size", "time_step_rank")}
    values |= {"general.architecture": "qwen35", "qwen35.ssm.group_count": 4}
    key = "qwen35.rope.dimension_sections"
    check_loads(fields_of(values | {key: each(key, 0, 1, 0, 0)}), FILE)
    with pytest.raises(
        CheckpointError, match=r"sections is \(0, 0, 0, 4\), but llama.cpp wants one of the first three"
    ):
        check_loads(fields_of(values | {key: each(key, 0, 0, 0, 4)}), FILE)
    with pytest.raises(CheckpointError, match=r"sections is a list of 3, but llama\.cpp wants 4"):
        check_loads(fields_of(values | {key: each(key, 1, 2, 3)}), FILE)


def test_an_architecture_that_llama_cpp_does_not_know():
    with pytest.raises(UnsupportedError, match=r"^tiny.gguf is of the architecture 'lama', which llama.cpp does not"):
        check_loads(fields_of(LLAMA | {"general.architecture": "lama"}), FILE)


@pytest.mark.parametrize("named", [None, 1, Field("general.architecture", STR, b"\xff")])
def test_no_architecture(named):
    with pytest.raises(CheckpointError, match=r"^tiny.gguf does not name its architecture, so it is not a model"):
        check({"general.architecture": named})


def test_a_projector_has_no_hyperparameters_to_look_at():
    check_loads(fields_of({"general.architecture": "clip"}), FILE)


def test_others_are_held_to_what_all_have_in_common():
    values = {key.replace("llama", "bert"): value for key, value in LLAMA.items()}
    values |= {"general.architecture": "bert", "bert.attention.layer_norm_rms_epsilon": None}
    check_loads(fields_of(values), FILE)
    with pytest.raises(CheckpointError, match=r"without bert\.context_length"):
        check_loads(fields_of(values | {"bert.context_length": None}), FILE)
