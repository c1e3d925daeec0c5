"""Generate a random Llama checkpoint in the Hugging Face layout, a shard at a time.

    python bench/generate_checkpoint.py OUT --size 1b

Its tokenizer is no known one: `quantize OUT --pre-tokenizer gpt-2 ...`. The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

DTYPES: dict[str, np.dtype[Any]] = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
}
SHARD_BYTES = 512 << 20
#: Normal weights drawn once and repeated in every tensor; a prime, so that their rows do not repeat with them.
POOL_WEIGHTS = 4_194_301
SPECIAL_TOKENS = ("<|begin_of_text|>", "<|end_of_text|>")


@dataclass(frozen=True, slots=True)
class Size:
    """What tells the checkpoints apart."""

    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool
    dtypes: tuple[str, ...]  #: taken in turn, tensor by tensor


SIZES = {
    # Quick to try a benchmark with.
    "tiny": Size(256, 1024, 2, 8, 2, 2048, tied=True, dtypes=("bfloat16",)),
    # 1.04 B parameters, 2.1 GB; the layers are those of Llama 3.2 1B.
    "1b": Size(2048, 8192, 16, 32, 8, 32_000, tied=True, dtypes=("bfloat16",)),
    # 4.35 GB (4.05 GiB); token table and output are the largest tensors that fit a shard.
    "4gib": Size(2048, 8192, 21, 32, 8, 128_256, tied=False, dtypes=("bfloat16", "float16", "float32")),
}


def main() -> None:
    """Write the checkpoint and print what it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="OUT", type=Path)
    parser.add_argument("--size", choices=SIZES, default="1b")
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    _write_json(arguments.folder / "config.json", _config(size))
    _write_tokenizer(arguments.folder, size.vocab)
    parameters, nbytes = _write_weights(arguments.folder, size)
    print(f"{arguments.folder}: {parameters:,} parameters, {nbytes:,} bytes")


def _config(size: Size) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": size.hidden,
        "intermediate_size": size.ffn,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "head_dim": size.hidden // size.heads,
        "vocab_size": size.vocab,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": size.tied,
        "torch_dtype": size.dtypes[0],
        "bos_token_id": size.vocab - 2,
        "eos_token_id": size.vocab - 1,
    }


def _write_tokenizer(folder: Path, vocab: int) -> None:
    """A byte-level BPE tokenizer of `vocab` tokens: all single bytes, then all pairs of bytes, then all triples."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = list(alphabet)
    merges = []
    for number in range(vocab - len(alphabet) - len(SPECIAL_TOKENS)):
        merge = (tokens[number // len(alphabet)], alphabet[number % len(alphabet)])
        merges.append(merge)
        tokens.append("".join(merge))
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIAL_TOKENS[0],
            "eos_token": SPECIAL_TOKENS[1],
        },
    )


def _write_weights(folder: Path, size: Size) -> tuple[int, int]:
    """Write the shards and their index; returns the numbers of parameters and bytes."""
    shards = list(_shards(size))
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    rng = np.random.default_rng(0)
    normal = 0.02 * rng.standard_normal(POOL_WEIGHTS, dtype=np.float32)
    pools = {dtype: normal.astype(DTYPES[dtype]) for dtype in set(size.dtypes)}
    weight_map: dict[str, str] = {}
    parameters = nbytes = 0
    for name, shard in zip(names, shards, strict=True):
        tensors = {
            tensor: _weights(pools[dtype], shape, int(rng.integers(POOL_WEIGHTS)))
            for tensor, (shape, dtype) in shard.items()
        }
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
        parameters += sum(tensor.size for tensor in tensors.values())
        nbytes += sum(tensor.nbytes for tensor in tensors.values())
        del tensors  # before the next shard is made
    index = {"metadata": {"total_size": nbytes}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index)
    return parameters, nbytes


def _weights(pool: NDArray[Any], shape: tuple[int, ...], first: int) -> NDArray[Any]:
    """The pool from weight `first` on, over and over."""
    return np.resize(np.roll(pool, -first), shape)


def _shards(size: Size) -> Iterator[dict[str, tuple[tuple[int, ...], str]]]:
    """Tensors' names, shapes and dtypes, in as few shards as SHARD_BYTES allows without reordering."""
    shard: dict[str, tuple[tuple[int, ...], str]] = {}
    room = SHARD_BYTES
    for (name, shape), dtype in zip(_shapes(size), cycle(size.dtypes), strict=False):
        nbytes = prod(shape) * DTYPES[dtype].itemsize
        if shard and nbytes > room:
            yield shard
            shard, room = {}, SHARD_BYTES
        shard[name] = (shape, dtype)
        room -= nbytes
    yield shard


def _shapes(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    kv = size.hidden // size.heads * size.kv_heads
    layer = {
        "input_layernorm": (size.hidden,),
        "self_attn.q_proj": (size.hidden, size.hidden),
        "self_attn.k_proj": (kv, size.hidden),
        "self_attn.v_proj": (kv, size.hidden),
        "self_attn.o_proj": (size.hidden, size.hidden),
        "post_attention_layernorm": (size.hidden,),
        "mlp.gate_proj": (size.ffn, size.hidden),
        "mlp.up_proj": (size.ffn, size.hidden),
        "mlp.down_proj": (size.hidden, size.ffn),
    }
    yield "model.embed_tokens.weight", (size.vocab, size.hidden)
    if not size.tied:
        yield "lm_head.weight", (size.vocab, size.hidden)
    for number in range(size.layers):
        for name, shape in layer.items():
            yield f"model.layers.{number}.{name}.weight", shape
    yield "model.norm.weight", (size.hidden,)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
