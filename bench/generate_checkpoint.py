"""Generate a random checkpoint in the Hugging Face layout: a Llama, or a mixture of experts.

    python bench/generate_checkpoint.py OUT --size 1b

Its tokenizer is generated too; `quantize` recognises it by its structure. The same arguments give the same bytes, and
any size takes little memory. transposed_experts.py quantizes the sizes whose experts are transposed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from math import prod
from pathlib import Path

from _shards import Shards, Tensor
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SHARD_BYTES = 512 << 20
SPECIAL_TOKENS = ("<|begin_of_text|>", "<|end_of_text|>")
#: `architectures` of a family made up by transposed_experts.py.
TRANSPOSED = "TransposedExpertsForCausalLM"


@dataclass(frozen=True, slots=True)
class Size:
    """What tells the checkpoints apart."""

    hidden: int
    ffn: int  #: of one expert, where there are experts
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool
    dtypes: tuple[str, ...] = ("bfloat16",)  #: taken in turn, tensor by tensor
    experts: int = 0
    transposed: bool = False  #: experts are stacked, gates and others side by side, [experts, columns, rows]

    @property
    def head(self) -> int:
        """Rows of one attention head."""
        return self.hidden // self.heads


SIZES = {
    # Quick to try a benchmark with.
    "tiny": Size(256, 1024, 2, 8, 2, 2048, tied=True),
    "moe-tiny": Size(256, 256, 2, 8, 2, 2048, tied=True, experts=4),
    "moe-tiny-transposed": Size(256, 512, 1, 8, 2, 2048, tied=True, experts=4, transposed=True),
    # 1.04 B parameters, 2.1 GB; the layers are those of Llama 3.2 1B.
    "1b": Size(2048, 8192, 16, 32, 8, 32_000, tied=True),
    # 4.35 GB (4.05 GiB); token table and output are the largest tensors that fit a shard.
    "4gib": Size(2048, 8192, 21, 32, 8, 128_256, tied=False, dtypes=("bfloat16", "float16", "float32")),
    # 8.63 GB (8.03 GiB); the layers are those of Qwen3 30B A3B, with half its experts.
    "moe-8gib": Size(2048, 768, 13, 32, 4, 128_256, tied=True, experts=64),
    # 8.67 GB (8.08 GiB); an expert's gates and others are one matrix of 88 MB.
    "moe-8gib-transposed": Size(4096, 5376, 1, 32, 8, 16_000, tied=True, experts=64, transposed=True),
}


def main() -> None:
    """Write the checkpoint and print what it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="OUT", type=Path)
    parser.add_argument("--size", choices=SIZES, default="1b")
    arguments = parser.parse_args()
    parameters, nbytes = generate(arguments.folder, SIZES[arguments.size])
    print(f"{arguments.folder}: {parameters:,} parameters, {nbytes:,} bytes")


def generate(folder: Path, size: Size) -> tuple[int, int]:
    """Write a checkpoint of `size` into `folder`; returns the numbers of parameters and bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _config(size))
    _write_tokenizer(folder, size.vocab)
    return _write_weights(folder, size)


def _config(size: Size) -> dict[str, object]:
    experts = {
        "num_experts": size.experts,
        "num_experts_per_tok": min(8, size.experts),
        "moe_intermediate_size": size.ffn,
        "norm_topk_prob": True,
    }
    moe = TRANSPOSED if size.transposed else "Qwen3MoeForCausalLM"
    return {
        "architectures": [moe if size.experts else "LlamaForCausalLM"],
        "model_type": "qwen3_moe" if size.experts else "llama",
        "hidden_size": size.hidden,
        "intermediate_size": size.ffn,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "head_dim": size.head,
        "vocab_size": size.vocab,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": size.tied,
        "torch_dtype": size.dtypes[0],
        "bos_token_id": size.vocab - 2,
        "eos_token_id": size.vocab - 1,
        **(experts if size.experts else {}),
    }


def _write_tokenizer(folder: Path, vocab: int) -> None:
    """Write a byte-level BPE tokenizer of `vocab` tokens: all single bytes, then all pairs, then all triples."""
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
    tensors = list(_shards(size))
    names = [f"model-{number:05}-of-{len(tensors):05}.safetensors" for number in range(1, len(tensors) + 1)]
    shards = Shards()
    weight_map: dict[str, str] = {}
    for name, held in zip(names, tensors, strict=True):
        shards.write(folder / name, held)
        weight_map |= dict.fromkeys(held, name)
    every = [tensor for held in tensors for tensor in held.values()]
    nbytes = sum(tensor.nbytes for tensor in every)
    index = {"metadata": {"total_size": nbytes}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index)
    return sum(prod(tensor.shape) for tensor in every), nbytes


def _shards(size: Size) -> Iterator[dict[str, Tensor]]:
    """Yield tensors by name, in as few shards as SHARD_BYTES allows without reordering; a larger tensor is alone."""
    shard: dict[str, Tensor] = {}
    room = SHARD_BYTES
    for (name, shape), dtype in zip(_shapes(size), cycle(size.dtypes), strict=False):
        tensor = Tensor(shape, dtype)
        if shard and tensor.nbytes > room:
            yield shard
            shard, room = {}, SHARD_BYTES
        shard[name] = tensor
        room -= tensor.nbytes
    yield shard


def _shapes(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Return row-major shapes by name."""
    yield "model.embed_tokens.weight", (size.vocab, size.hidden)
    if not size.tied:
        yield "lm_head.weight", (size.vocab, size.hidden)
    for number in range(size.layers):
        for name, shape in (*_attention(size), *_ffn(size)):
            yield f"model.layers.{number}.{name}", shape
    yield "model.norm.weight", (size.hidden,)


def _attention(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    kv = size.head * size.kv_heads
    yield "input_layernorm.weight", (size.hidden,)
    yield "self_attn.q_proj.weight", (size.hidden, size.hidden)
    yield "self_attn.k_proj.weight", (kv, size.hidden)
    yield "self_attn.v_proj.weight", (kv, size.hidden)
    yield "self_attn.o_proj.weight", (size.hidden, size.hidden)
    yield "post_attention_layernorm.weight", (size.hidden,)
    if size.experts:
        yield "self_attn.q_norm.weight", (size.head,)
        yield "self_attn.k_norm.weight", (size.head,)


def _ffn(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    if size.experts:
        yield "mlp.gate.weight", (size.experts, size.hidden)
    if size.transposed:
        yield "mlp.experts.gate_up_proj", (size.experts, size.hidden, 2 * size.ffn)
        yield "mlp.experts.down_proj", (size.experts, size.ffn, size.hidden)
        return
    for mlp in [f"mlp.experts.{number}" for number in range(size.experts)] or ["mlp"]:
        yield f"{mlp}.gate_proj.weight", (size.ffn, size.hidden)
        yield f"{mlp}.up_proj.weight", (size.ffn, size.hidden)
        yield f"{mlp}.down_proj.weight", (size.hidden, size.ffn)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
