"""Mixtral: a Llama with experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Arrays, Case, Tensor
from golden.families.layouts import stacked
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import llama_json, llama_sentencepiece, real
from golden.families.weights import around_one

EXPERT = ("w1", "w3", "w2")  # gate, up, down


def config(experts: int, layers: int, hidden: int, ffn: int, vocabulary: int) -> dict[str, Any]:
    """Return a config.json with the keys of the Hub's."""
    return {
        "architectures": ["MixtralForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": ffn,
        "max_position_embeddings": 2048,
        "model_type": "mixtral",
        "num_attention_heads": 8,
        "num_experts_per_tok": 2,
        "num_hidden_layers": layers,
        "num_key_value_heads": 4,
        "num_local_experts": experts,
        "output_router_logits": False,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "router_aux_loss_coef": 0.02,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= attention(f"{prefix}.self_attn", hidden, heads, config["num_key_value_heads"], hidden // heads)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found[f"{prefix}.block_sparse_moe.gate.weight"] = Tensor((config["num_local_experts"], hidden))
        for expert in range(config["num_local_experts"]):
            experts = f"{prefix}.block_sparse_moe.experts"
            found |= mlp(f"{experts}.{expert}", hidden, config["intermediate_size"], EXPERT)
    return found


def held_by_transformers(tensors: Arrays) -> Arrays:
    """Stack the experts, and name the block as transformers 5 does in memory; it saves the Hub's layout."""
    renamed = {name.replace(".block_sparse_moe.", ".mlp."): values for name, values in tensors.items()}
    return stacked(renamed, EXPERT)


EIGHT = config(experts=8, layers=2, hidden=256, ffn=256, vocabulary=2016)
FOUR = config(experts=4, layers=3, hidden=256, ffn=256, vocabulary=314)
ODD = config(experts=3, layers=2, hidden=288, ffn=272, vocabulary=320)

CASES = (
    # With 8 experts the mixes give attn_k and attn_v Q8_0. The vocabulary is padded.
    Case("Mixtral-8x1M-Instruct-v0.1", EIGHT, tensors(EIGHT), real("mistral-7b-v0.3")),
    # Shards cut through the experts of every layer.
    Case("Mixtral-4-experts", FOUR, tensors(FOUR), llama_json(), dtype="float16", shards=3),
    Case(
        "Mixtral-4-experts-stacked",
        FOUR,
        tensors(FOUR),
        llama_json(),
        dtype="float16",
        layout=held_by_transformers,
        weights_of="Mixtral-4-experts",
        refusal="Can not map tensor",
    ),
    # Rows of 288 fall back to types of 32, rows of 272 to F16.
    Case("Mixtral-odd-rows", ODD, tensors(ODD), llama_sentencepiece(), dtype="float32"),
)
