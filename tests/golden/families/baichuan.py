"""Baichuan, which the reference cannot convert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.shapes import Tensors, ends, linear, mlp, norms
from golden.families.vocabularies import llama_real
from golden.families.weights import around_one

SMALL = {
    "architectures": ["BaichuanForCausalLM"],
    "auto_map": {"AutoConfig": "configuration_baichuan.BaichuanConfig"},
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 4096,
    "model_max_length": 4096,
    "model_type": "baichuan",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 2000,
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden = config["hidden_size"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= linear(f"{prefix}.self_attn.W_pack", 3 * hidden, hidden)
        found |= linear(f"{prefix}.self_attn.o_proj", hidden, hidden)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


CASE = Case("Baichuan-small", SMALL, tensors(SMALL), llama_real())
