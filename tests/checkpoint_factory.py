"""Tiny random checkpoints in the Hugging Face layout, with a tokenizer: all that a test of the whole way needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

#: The vocabulary is the tests' own, so no pre-tokenizer can be recognised by it.
PRE_TOKENIZER = "gpt-2"

DTYPES: Mapping[str, Any] = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32}
SPECIAL_TOKENS = ("<s>", "</s>", "<|endoftext|>")  # the last one is Qwen's
TEXT = "It is a truth universally acknowledged, that a model in possession of many weights must be in want of fewer."


def make_checkpoint(
    folder: Path,
    family: str = "llama",
    *,
    dtypes: tuple[str, ...] = ("BF16",),
    shards: int = 1,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write a checkpoint into the new `folder` and return it.

    Args:
        folder: its name becomes the model's.
        family: "llama", "mistral", "qwen2" or "qwen3".
        dtypes: safetensors dtypes; the tensors take them in turn.
        shards: with more than one, there is an index too.
        seed: of the weights.
        config: what config.json says beside, or instead of, the defaults below.
    """
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(_tokenizer())
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    values = {
        "architectures": [f"{family.capitalize()}ForCausalLM"],
        "model_type": family,
        "vocab_size": Tokenizer.from_str(_tokenizer()).get_vocab_size(),
        "num_hidden_layers": 2,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(values))
    _save(folder, dict(_tensors(values, dtypes, seed)), shards)
    return folder


def tensor_shapes(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor that a checkpoint with this config.json holds: its Hugging Face name and its shape."""
    vocab, hidden, ffn = config["vocab_size"], config["hidden_size"], config["intermediate_size"]
    head, family = config["head_dim"], config["model_type"]
    widths = {"q": config["num_attention_heads"] * head, "k": config["num_key_value_heads"] * head}
    widths["v"] = widths["k"]
    yield "model.embed_tokens.weight", (vocab, hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.input_layernorm.weight", (hidden,)
        for letter, width in widths.items():
            yield f"{prefix}.self_attn.{letter}_proj.weight", (width, hidden)
            if family == "qwen2":
                yield f"{prefix}.self_attn.{letter}_proj.bias", (width,)
        if family == "qwen3":
            yield f"{prefix}.self_attn.q_norm.weight", (head,)
            yield f"{prefix}.self_attn.k_norm.weight", (head,)
        yield f"{prefix}.self_attn.o_proj.weight", (hidden, widths["q"])
        yield f"{prefix}.post_attention_layernorm.weight", (hidden,)
        yield f"{prefix}.mlp.gate_proj.weight", (ffn, hidden)
        yield f"{prefix}.mlp.up_proj.weight", (ffn, hidden)
        yield f"{prefix}.mlp.down_proj.weight", (hidden, ffn)
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (vocab, hidden)


def _tensors(config: Mapping[str, Any], dtypes: tuple[str, ...], seed: int) -> Iterator[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    for (name, shape), dtype in zip(tensor_shapes(config), cycle(dtypes), strict=False):
        yield name, rng.normal(0, 0.02, shape).astype(DTYPES[dtype])


def _save(folder: Path, tensors: dict[str, np.ndarray], shards: int) -> None:
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return
    weight_map = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(tensors)}
    for file in set(weight_map.values()):
        save_file({name: tensors[name] for name in tensors if weight_map[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@cache
def _tokenizer() -> str:
    """tokenizer.json of a byte-level BPE with a few merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=288,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer.to_str()
