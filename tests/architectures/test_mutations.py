"""Models broken at random: all that leaves a description is a description that fits, or one sentence."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable

import pytest
from architectures.broken import FILE, Record, headers_of
from architectures.refusals import one_sentence
from golden.families.checkpoints import CASES

from quantize_cli.architectures.describe import describe
from quantize_cli.errors import QuantizeError

FAMILIES = (
    "Llama-base-class",
    "Mixtral-4-experts",
    "Qwen2-base-class",
    "Qwen3-MoE-stacked",
    "Qwen3.5-MoE-single",
    "DeepSeek-V3-small",
    "Gemma3-json",
)
STORED = ("BF16", "F16", "F32", "F64", "I8", "U8", "I32", "U32", "F8_E4M3", "BOOL", "I64")
WORDS = (
    "model layers 0 1 7 01 99999999999 ٣ self_attn q_proj mlp experts gate_up_proj weight bias norm lora_A absmax "
    "scales qweight module language_model visual mtp \x1b[31m " + "x" * 300
).split(" ")
VALUES = (None, 0, 1, 2, -1, "x", [], {}, 2**40, 1.5, True)

Mutation = Callable[[random.Random, Record], None]


def one(rng: random.Random, record: Record) -> str:
    return rng.choice(list(record["tensors"]) or [""])


def change_a_size(rng: random.Random, record: Record) -> None:
    name = one(rng, record)
    dtype, shape, file = record["tensors"].get(name, ["BF16", [1], FILE])
    sizes = [rng.choice([0, 1, 2, size, size, size * 2, size // 2, size + 1]) for size in shape]
    record["tensors"][name] = [dtype, sizes, file]


def drop(rng: random.Random, record: Record) -> None:
    record["tensors"].pop(one(rng, record), None)


def drop_alike(rng: random.Random, record: Record) -> None:
    part = one(rng, record).split(".")[-2:][0]
    record["tensors"] = {name: tensor for name, tensor in record["tensors"].items() if part not in name}


def add(rng: random.Random, record: Record) -> None:
    name = ".".join(rng.choice(WORDS) for _ in range(rng.randint(1, 6)))
    shape = [rng.choice([0, 1, 2, 64, 256]) for _ in range(rng.randint(0, 4))]
    file = rng.choice([FILE, "model-00001-of-00009.safetensors", "a-0-of-0.safetensors"])
    record["tensors"][name] = [rng.choice(STORED), shape, file]


def retype(rng: random.Random, record: Record) -> None:
    if name := one(rng, record):
        record["tensors"][name][0] = rng.choice(STORED)


def rename(rng: random.Random, record: Record) -> None:
    if name := one(rng, record):
        parts = name.split(".")
        parts[rng.randrange(len(parts))] = rng.choice(WORDS)
        record["tensors"][".".join(parts)] = record["tensors"].pop(name)


def prefix(rng: random.Random, record: Record) -> None:
    word = rng.choice(WORDS)
    record["tensors"] = {name.replace("model.", f"{word}."): tensor for name, tensor in record["tensors"].items()}


def reshape_alike(rng: random.Random, record: Record) -> None:
    part = one(rng, record).split(".")[-2:][0]
    change = rng.choice([lambda s: s[::-1], lambda s: [math.prod(s)], lambda _: [], lambda _: [0], lambda s: [*s, 1]])
    for name, tensor in record["tensors"].items():
        if part in name:
            tensor[1] = change(tensor[1])


def configure(rng: random.Random, record: Record) -> None:
    values = record["files"]["config.json"]
    key = rng.choice(list(values))
    value = values[key]
    near = [value + 1, value * 2, value // 2, value - 1] if type(value) is int else []
    values[key] = rng.choice([*VALUES, *near, *near])


MUTATIONS: tuple[Mutation, ...] = (
    change_a_size,
    drop,
    drop_alike,
    add,
    retype,
    rename,
    prefix,
    reshape_alike,
    configure,
)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_broken_model_is_described_or_refused_in_a_sentence(name, make_checkpoint):
    rng = random.Random(name)
    whole = headers_of(CASES[name])
    assert describe(make_checkpoint(**whole)).recipes
    refused = 0
    for number in range(40):
        record = copy.deepcopy(whole)
        for mutation in rng.choices(MUTATIONS, k=rng.randint(1, 3)):
            mutation(rng, record)
        try:
            recipes = describe(make_checkpoint(**{**record, "name": f"model-{number}"})).recipes
        except QuantizeError as error:
            one_sentence(error)
            refused += 1
        else:
            assert all(recipe.shape and 0 not in recipe.shape for recipe in recipes)
    assert refused > 20
