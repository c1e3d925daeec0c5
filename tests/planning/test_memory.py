"""The memory to run a file, against what llama.cpp's log tells (golden/memory/)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quantize_cli.errors import UsageError
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.planning.memory import memory_to_run, parse_memory

RECORDS: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "memory" / "sizes.json").read_text())
CONTEXT = 2048
MIB = 1 << 20
#: The log has two decimals, and each of two parts is rounded.
ROUNDED = 0.011


def metadata_of(record: dict[str, Any]) -> list[Field]:
    """The recorded fields, and a vocabulary of the recorded size."""
    fields = []
    for key, kind, value, items in record["metadata"]:
        if key == "tokens":
            fields.append(Field("tokenizer.ggml.tokens", ValueType.ARRAY, ("",) * value, ValueType.STRING))
        elif items is not None:
            fields.append(Field(key, ValueType.ARRAY, tuple(value), ValueType(items)))
        else:
            fields.append(Field(key, ValueType(kind), value))
    return fields


@pytest.mark.parametrize("name", RECORDS)
def test_the_context_takes_what_llama_cpp_allocates(name):
    record = RECORDS[name]
    memory = memory_to_run(metadata_of(record), 0, CONTEXT)
    assert memory is not None
    assert memory.kv_cache / MIB == pytest.approx(record["kv_mib"] + record["recurrent_mib"], abs=ROUNDED)


def is_sparse(record: dict[str, Any]) -> bool:
    """Whether attention is sparse; its scores are not counted."""
    return any(".indexer." in key for key, *_ in record["metadata"])


@pytest.mark.parametrize("name", [name for name, r in RECORDS.items() if r["compute_mib"] and not is_sparse(r)])
def test_the_compute_buffer_of_small_models_is_never_far_off(name):
    """Graphs of small models hold what does not grow with them."""
    memory = memory_to_run(metadata_of(RECORDS[name]), 0, CONTEXT)
    assert memory is not None
    assert memory.compute / MIB == pytest.approx(RECORDS[name]["compute_mib"], abs=12)


@pytest.mark.parametrize(
    ("vocabulary", "width", "forward", "experts", "context", "mib"),
    [
        (128256, 4096, 14336, 0, 2048, 266.5),  # Llama 3 8B
        (128256, 4096, 14336, 0, 8192, 266.5),
        (32000, 4096, 14336, 0, 2048, 118.01),  # Mistral 7B
        (32000, 4096, 14336, 0, 8192, 124.01),
        (152064, 3584, 18944, 0, 2048, 311.0),  # Qwen 2 7B
        (49152, 576, 1536, 0, 2048, 102.51),  # SmolLM 135M
        (49152, 576, 1536, 0, 8192, 98.25),
        (32000, 8192, 28672, 0, 2048, 234.01),  # Llama 2 70B
        (32000, 8192, 28672, 0, 8192, 240.01),
        (151936, 2048, 768, 8, 8192, 304.75),  # Qwen 3 30B-A3B
        (32000, 2048, 1408, 8, 8192, 90.01),
        (32000, 4096, 14336, 2, 8192, 208.01),  # Mixtral 8x7B
    ],
)
def test_the_compute_buffer_of_real_sizes(vocabulary, width, forward, experts, context, mib):
    """What llama.cpp's log tells of models of these sizes with 2 to 4 layers, whose number does not matter."""
    sizes = {"embedding_length": width, "feed_forward_length": forward, "expert_used_count": experts}
    metadata = [
        Field("general.architecture", ValueType.STRING, "llama"),
        *(Field(f"llama.{key}", ValueType.UINT32, value) for key, value in sizes.items()),
        Field("tokenizer.ggml.tokens", ValueType.ARRAY, ("",) * vocabulary, ValueType.STRING),
    ]
    memory = memory_to_run(metadata, 0, context)
    assert memory is not None
    assert memory.compute / MIB == pytest.approx(mib, rel=0.05)


def test_the_usual_context_is_the_models_own_if_that_is_shorter():
    record = RECORDS["GPT2-small"]
    (stated,) = (value for key, _, value, _ in record["metadata"] if key == "gpt2.context_length")
    memory = memory_to_run(metadata_of(record), 1000)
    assert memory is not None
    assert memory.context == min(stated, 4096)
    assert memory.total == 1000 + memory.kv_cache + memory.compute


def test_an_architecture_whose_memory_is_not_known_has_no_estimate():
    assert memory_to_run([Field("general.architecture", ValueType.STRING, "deepseek4")], 0) is None


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("16GiB", 16 << 30), ("16G", 16 << 30), ("16 gb", 16 * 10**9), ("1.5TiB", 3 << 39), ("512m", 512 << 20), (7, 7)],
)
def test_amounts_of_memory(text, nbytes):
    assert parse_memory(text) == nbytes


@pytest.mark.parametrize("text", ["", "16", "GiB", "-1GiB", "0GiB", "1e9", "1" * 400 + "G", 0])
def test_what_is_not_an_amount_of_memory(text):
    with pytest.raises(UsageError, match="is not an amount of memory; write it as in 16GiB"):
        parse_memory(text)


def test_fields_of_the_wrong_kind_leave_no_estimate():
    fields = metadata_of(RECORDS["Gemma4-dense"])
    wrong = [
        Field(held.key, ValueType.ARRAY, (True,), ValueType.BOOL) if held.key.endswith("window_pattern") else held
        for held in fields
    ]
    assert memory_to_run(fields, 0) is not None
    assert memory_to_run(wrong, 0) is None
