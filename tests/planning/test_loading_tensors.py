"""Tensors that llama.cpp's loader does not find as it wants them: what it refuses is refused, and nothing else."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fuzz import loading
from fuzz.seeds import checkpoint
from oracle.ggml import needs_ggml

from quantize_cli import plan
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import Field, ValueType, array, field
from quantize_cli.planning.model import PlannedTensor
from quantize_cli.planning.split import whole

SEEDS = (
    *("llama-pieces", "mixtral", "qwen2", "qwen3", "qwen3-moe", "deepseek-v3", "gemma3-json", "qwen3.5"),
    "qwen3.5-moe",
)


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """(name) -> the plan of a good file of that seed; made once."""
    made = {}

    def planned(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("seeds") / "tiny-1B"
            folder.mkdir()
            for file, content in checkpoint(name).files.items():
                (folder / file).parent.mkdir(exist_ok=True)
                (folder / file).write_bytes(content)
            (made[name],) = plan(folder, "f16", **checkpoint(name).options).files
        return made[name]

    return planned


@pytest.fixture
def written(tmp_path):
    """(metadata, tensors) -> a file of them, all weights 0."""

    def write(metadata, tensors):
        (file,) = whole(tensors, tuple(metadata))
        path = tmp_path / "model.gguf"
        path.write_bytes(file.header)
        os.truncate(path, file.file_bytes)
        return path

    return write


def reason(path) -> str | None:
    """Why we refuse the file, or None."""
    try:
        plan(path, "f16")
    except CheckpointError as error:
        return str(error)
    return None


def shaped(tensor: PlannedTensor, shape: tuple[int, ...]) -> PlannedTensor:
    return replace(tensor, shape=shape, nbytes=math.prod(shape) * (4 if tensor.type == "F32" else 2))


def damaged(tensors: tuple[PlannedTensor, ...]) -> Iterator[tuple[str, list[PlannedTensor]]]:
    """Every tensor missing, under another name, larger, and with one dimension more."""
    for i, tensor in enumerate(tensors):
        before, after = list(tensors[:i]), list(tensors[i + 1 :])
        yield f"without {tensor.name}", [*before, *after]
        yield f"renamed {tensor.name}", [*before, replace(tensor, name=f"{tensor.name}x"), *after]
        yield f"larger {tensor.name}", [*before, shaped(tensor, (tensor.shape[0] + 1, *tensor.shape[1:])), *after]
        yield f"deeper {tensor.name}", [*before, shaped(tensor, (1, *tensor.shape)), *after]


@pytest.mark.slow
@needs_ggml
@pytest.mark.parametrize("name", SEEDS)
def test_what_llama_cpp_refuses_is_refused_and_nothing_else(name, plans, written):
    good = plans(name)
    differing, refused = [], 0
    for what, tensors in damaged(good.tensors):
        path = written(good.metadata, tensors)
        ours, theirs = reason(path), loading.load(path)
        refused += ours is not None
        if (ours is None) != (theirs is None):
            differing.append((what, ours, theirs))
    assert differing == []
    assert 2 * len(good.tensors) < refused < 4 * len(good.tensors)


def set_to(metadata, key: str, value: int) -> list[Field]:
    return [*(held for held in metadata if held.key != key), field(key, ValueType.UINT32, value)]


def without(metadata, *keys: str) -> list[Field]:
    return [held for held in metadata if held.key not in keys]


TOKENS, MODEL = "tokenizer.ggml.tokens", "tokenizer.ggml.model"


def tokens_of(metadata) -> list[str]:
    return list(next(held.value for held in metadata if held.key == TOKENS))


def with_tokens(metadata, tokens) -> list[Field]:
    return [array(TOKENS, ValueType.STRING, tokens) if held.key == TOKENS else held for held in metadata]


def test_a_tensor_that_contradicts_the_metadata(plans, written):
    good = plans("qwen3")
    changed = set_to(good.metadata, "qwen3.attention.head_count_kv", 2)
    path = written(changed, good.tensors)
    assert reason(path) == (
        f"{path} has blk.0.attn_k.weight with the shape [32, 64], but llama.cpp wants [64, 64] by its metadata "
        "(qwen3.attention.head_count_kv, qwen3.attention.head_count, qwen3.attention.key_length, "
        "qwen3.embedding_length) and does not load it; correct them with --override-kv, or take the model from another "
        "source."
    )
    assert plan(path, "f16", override_kv=["qwen3.attention.head_count_kv=int:1"]).tensors


def test_more_layers_than_the_file_has(plans, written):
    good = plans("qwen3")
    path = written(set_to(good.metadata, "qwen3.block_count", 3), good.tensors)
    assert reason(path) == (
        f"{path} does not have blk.2.attn_norm.weight, and llama.cpp does not load a qwen3 model of 3 layers "
        "(qwen3.block_count) without it; take the model from another source."
    )
    path = written(set_to(good.metadata, "qwen3.block_count", 1), good.tensors)
    assert "has the tensor 'blk.1.attn_k.weight', and llama.cpp does not load a qwen3 model of 1 layers" in (
        reason(path) or ""
    )


def test_as_many_tokens_as_rows(plans, written):
    good = plans("qwen3")
    path = written(with_tokens(good.metadata, tokens_of(good.metadata)[:300]), good.tensors)
    assert reason(path) == (
        f"{path} leads to a file that llama.cpp does not load: it has 300 tokens, but token_embd.weight has 320 rows; "
        "take the model from another source."
    )


@needs_ggml
@pytest.mark.parametrize("kind", ["none", "no_vocab"])
def test_a_model_without_a_vocabulary(kind, plans, written):
    good = plans("qwen3")
    metadata = [*without(good.metadata, MODEL, TOKENS), field(MODEL, ValueType.STRING, kind)]
    path = written(metadata, good.tensors)
    assert loading.load(path) is not None
    assert reason(path) == (
        f"{path} leads to a file that llama.cpp does not load: it has no vocabulary ({MODEL} is '{kind}') and "
        "qwen3.vocab_size for 0 tokens, but token_embd.weight has 320 rows; set the number with --override-kv "
        "qwen3.vocab_size=int:320, or take the model from another source."
    )
    assert plan(path, "f16", override_kv=["qwen3.vocab_size=int:320"]).tensors
    whole_file = written(set_to(metadata, "qwen3.vocab_size", 320), good.tensors)
    assert reason(whole_file) is None
    assert loading.load(whole_file) is None


def test_two_tokens_of_one_text(plans, written):
    good = plans("qwen3")
    tokens = tokens_of(good.metadata)
    tokens[7] = tokens[5]
    path = written(with_tokens(good.metadata, tokens), good.tensors)
    assert f"its tokens 5 and 7 are both {tokens[5]!r}; take" in (reason(path) or "")
    tokens[5] = tokens[7] = ""  # they get names of their own
    assert reason(written(with_tokens(good.metadata, tokens), good.tensors)) is None


U32, I32, F32, BOOL, STR = (
    *(ValueType.UINT32, ValueType.INT32, ValueType.FLOAT32, ValueType.BOOL),
    ValueType.STRING,
)


@needs_ggml
@pytest.mark.parametrize(
    ("held", "says"),
    [
        (field("tokenizer.ggml.bos_token_id", I32, 1), "bos_token_id is INT32, but llama.cpp wants UINT32"),
        (field("tokenizer.ggml.fim_pre_token_id", F32, 1), "fim_pre_token_id is FLOAT32, but llama.cpp wants UINT32"),
        (field("tokenizer.ggml.add_bos_token", U32, 1), "add_bos_token is UINT32, but llama.cpp wants BOOL"),
        (field("tokenizer.ggml.pre", U32, 1), "tokenizer.ggml.pre is UINT32, but llama.cpp wants STRING"),
        (field("tokenizer.ggml.pre", STR, "x"), "tokenizer.ggml.pre is 'x', which llama.cpp does not know"),
        (field("tokenizer.ggml.model", STR, "x"), "tokenizer.ggml.model is 'x', but llama.cpp knows bert, gemma4"),
        (array("tokenizer.ggml.tokens", I32, [1]), "tokens is a list of INT32, but llama.cpp wants a list of STRING"),
        (array("tokenizer.ggml.scores", BOOL, [True]), "wants a list of FLOAT32 or INT32"),
        (array("tokenizer.ggml.scores", F32, [1]), "scores is a list of 1, but the vocabulary has 320 tokens"),
        (array("tokenizer.ggml.token_type", I32, [1]), "token_type is a list of 1, but the vocabulary has 320"),
        (array("tokenizer.ggml.token_type", I32, [6] * 320), "marks the token 'Ā' with the id 0 as a byte, but"),
        (array("tokenizer.ggml.merges", I32, [1]), "merges is a list of INT32, but llama.cpp wants a list of STRING"),
        (field("general.name", U32, 1), "general.name is UINT32, but llama.cpp wants STRING"),
        (field("qwen3.rope.scaling.finetuned", U32, 1), "finetuned is UINT32, but llama.cpp wants BOOL"),
    ],
)
def test_a_value_that_the_loader_does_not_take(held, says, plans, written):
    good = plans("qwen3")
    path = written([*without(good.metadata, held.key), held], good.tensors)
    assert says in str(reason(path))
    assert loading.load(path) is not None


@needs_ggml
@pytest.mark.parametrize("key", ["tokenizer.ggml.bos_token_id", "tokenizer.ggml.padding_token_id"])
def test_a_role_beyond_the_vocabulary_is_left_out_by_the_loader(key, plans, written):
    good = plans("qwen3")
    path = written(set_to(good.metadata, key, 10**6), good.tensors)
    assert reason(path) is None
    assert loading.load(path) is None


def test_merges_that_are_missing(plans, written):
    good = plans("qwen3")
    path = written(without(good.metadata, "tokenizer.ggml.merges"), good.tensors)
    assert "without tokenizer.ggml.merges, and llama.cpp does not load a tokenizer of the kind gpt2" in (
        reason(path) or ""
    )


def test_a_file_without_a_tokenizer_is_noted_and_taken(plans, written):
    good = plans("qwen3")
    path = written(without(good.metadata, MODEL), good.tensors[:3])
    assert any("lacks tokenizer.ggml.model" in warning for warning in plan(path, "f16").warnings)
