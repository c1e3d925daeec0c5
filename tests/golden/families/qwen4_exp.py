"""Qwen3.8-Flash-Next: Qwen 3.5's mixers and experts, with hyper-connections, an indexer, and n-gram embeddings.

transformers 5 renames the kind of the layers with full attention, and the reference then writes no compress ratios. The
reference's own requirements name an older version, which does not know the class, so config.json is read as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from golden.families import qwen3_5
from golden.families.case import Arrays, Case, Tensor
from golden.families.shapes import Tensors, norms
from golden.families.vocabularies import tokens
from golden.families.weights import Array, around_zero

CUT = qwen3_5.VOCABULARY
END = tokens(CUT)["<|endoftext|>"]

TEXT = {
    **qwen3_5.MOE,
    "model_type": "qwen4_exp_text",
    "eos_token_id": END,
    "full_attention_interval": 4,
    "hc_count": 4,
    "hc_lowrank": 32,
    "head_dim": 64,
    "heads_per_ngram": 2,
    "indexer_budget": 64,
    "indexer_compress_ratio": 4,
    "indexer_head_dim": 64,
    "indexer_kv_heads": 1,
    "indexer_n_heads": 2,
    "layer_types": ["linear_attention", "full_attention"],
    "make_ngram_vocab_size_divisible_by": 128,
    "ngram_size": 3,
    "ngram_vocab_size_base": 100,
    "norm_topk_prob": True,
    "num_hidden_layers": 2,
    "output_gate_type": "sigmoid",
    "ple_conv_kernel_size": 4,
    "ple_embed_dim": 256,
    "ple_layer_ids": [1],
    "seed": 1234,
    "split_ngram_parts": 4,
    "vocab_size": 2048,
}
TEXT["rope_parameters"] = {**cast("dict[str, object]", TEXT["rope_parameters"]), "mrope_section": [3, 3, 2]}
#: The first primes from the base on, one a head; the table has the next multiple of 128 rows.
PRIMES = [101, 103, 107, 109]
ROWS = 512


def constants(*values: int) -> Callable[[str, tuple[int, ...], str], Array]:
    """Return a fill with these whole numbers."""
    return lambda _key, _shape, _dtype: np.array(values, np.int64)


def hyper_connection(prefix: str, config: Mapping[str, Any], inject: bool = True) -> Tensors:
    """Return what stands in the place of a norm."""
    streams, rank = config["hc_count"] * config["hidden_size"], config["hc_lowrank"]
    found = {
        **norms(around_zero, streams, f"{prefix}.hc_norm"),
        f"{prefix}.input_mix_weight_down.weight": Tensor((rank, streams)),
        f"{prefix}.input_mix_weight_up.weight": Tensor((streams, rank)),
    }
    return found | ({f"{prefix}.block_inject_weight.weight": Tensor((config["hc_count"], streams))} if inject else {})


def ngrams(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return the n-gram embedding of a layer, its table in parts."""
    hidden, streams = config["hidden_size"], config["hc_count"] * config["hidden_size"]
    parts, width = config["split_ngram_parts"], config["ple_embed_dim"] // len(PRIMES)
    rows = -(-ROWS // parts)
    offsets = [sum(PRIMES[:head]) for head in range(len(PRIMES))]
    table = f"{prefix}.ple_embedding"
    return {
        f"{prefix}.key_proj.weight": Tensor((streams, hidden)),
        f"{prefix}.value_proj.weight": Tensor((hidden, hidden)),
        **norms(around_zero, streams, f"{prefix}.norm_key", f"{prefix}.norm_query", f"{prefix}.norm_conv"),
        f"{prefix}.conv1d.weight": Tensor((streams, 1, config["ple_conv_kernel_size"])),
        f"{table}.layer_multipliers": Tensor((3,), constants(35184372088831, 19, 23456789012345), "int64"),
        f"{table}.ngram_heads_vocab_sizes": Tensor((4,), constants(*PRIMES), "int64"),
        f"{table}.ngram_heads_offsets": Tensor((4,), constants(*offsets), "int64"),
        **{
            f"{table}.ngram_embedding.shard_{part}.weight": Tensor((min(rows, ROWS - part * rows), width))
            for part in range(parts)
        },
    }


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the text model's tensors, experts single."""
    found = {name: tensor for name, tensor in qwen3_5.tensors(config).items() if "layernorm" not in name}
    del found["model.norm.weight"]
    found |= hyper_connection("model.hyper_connection_mixer", config, inject=False)
    size = config["indexer_head_dim"]
    for number, kind in enumerate(config["layer_types"]):
        prefix = f"model.layers.{number}"
        for place in ("attn", "mlp"):
            found |= hyper_connection(f"{prefix}.{place}_hyper_connection", config)
        if kind == "full_attention":
            indexer = f"{prefix}.self_attn.indexer"
            rows = (config["indexer_n_heads"] + 1) * size
            found[f"{indexer}.index_qk_proj.weight"] = Tensor((rows, config["hidden_size"]))
            found |= norms(around_zero, size, f"{indexer}.q_layernorm", f"{indexer}.k_layernorm")
        if number + 1 in config["ple_layer_ids"]:
            found |= ngrams(f"{prefix}.ple", config)
    return found


def inside_and_stacked(found: Arrays) -> Arrays:
    """Name the tensors as the class with a vision tower does, experts stacked."""
    return qwen3_5.inside_and_stacked(found)


def without_attention(found: Tensors) -> Tensors:
    """Return an MTP layer as far as its names count: the file does not get it."""
    return {name: tensor for name, tensor in found.items() if "experts" not in name}


#: Parts of unequal rows, single experts, no MTP layer, and a list of ends.
ODD = {**TEXT, "eos_token_id": [END + 2, END], "mamba_ssm_dtype": None, "split_ngram_parts": 3}
PLAIN = {**TEXT, "ple_layer_ids": [], "tie_word_embeddings": True}

CASES = (
    Case(
        "Qwen4Exp-small",
        qwen3_5.conditional("Qwen4ExpForConditionalGeneration", "qwen4_exp", TEXT),
        tensors(TEXT) | without_attention(qwen3_5.mtp(TEXT)) | qwen3_5.vision(256),
        CUT,
        layout=inside_and_stacked,
        shards=2,
        raw_config=True,
    ),
    Case(
        "Qwen4Exp-parts",
        {"architectures": ["Qwen4ExpForCausalLM"], **ODD},
        tensors(ODD),
        CUT,
        dtype="float16",
        raw_config=True,
        slow=True,
    ),
    Case(
        "Qwen4Exp-without-n-grams",
        {"architectures": ["Qwen4ExpForCausalLM"], **PLAIN},
        tensors(PLAIN),
        CUT,
        raw_config=True,
        slow=True,
    ),
)
