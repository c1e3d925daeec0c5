"""Gemma 1 and 2: norms stored less one, an embedding that is the head, two or four norms a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.gemma3 import tensors as four_norms
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import gemma_real
from golden.families.weights import around_zero

VOCABULARY = gemma_real()

#: config.json with the keys of Gemma 2B's on the Hub.
GEMMA = {
    "architectures": ["GemmaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "head_dim": 64,
    "hidden_act": "gelu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 2048,
    "model_type": "gemma",
    "num_attention_heads": 8,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "use_cache": True,
    "vocab_size": 1984,
}

#: config.json with the keys of Gemma 2 2B's on the Hub.
GEMMA2 = {
    "architectures": ["Gemma2ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_logit_softcapping": 50.0,
    "bos_token_id": 2,
    "cache_implementation": "hybrid",
    "eos_token_id": [1, 11],
    "final_logit_softcapping": 30.0,
    "head_dim": 64,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 2048,
    "model_type": "gemma2",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 64,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "sliding_window": 1024,
    "sliding_window_size": 1024,
    "use_cache": True,
    "vocab_size": 1984,
}


def two_norms(config: Mapping[str, Any]) -> Tensors:
    """Return Gemma 1's tensors."""
    hidden, heads, kv_heads = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    found = ends(config["vocab_size"], hidden, around_zero, tied=True)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= attention(f"{prefix}.self_attn", hidden, heads, kv_heads, config["head_dim"])
        found |= norms(around_zero, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


def without_head_norms(config: Mapping[str, Any], tied: bool = True) -> Tensors:
    """Return Gemma 2's tensors: Gemma 3's without the norms of queries and keys."""
    found = four_norms(config, config["vocab_size"], tied)
    return {name: tensor for name, tensor in found.items() if not name.endswith(("q_norm.weight", "k_norm.weight"))}


WIDE = {**GEMMA, "head_dim": 32, "hidden_size": 320, "intermediate_size": 352, "num_key_value_heads": 8}
ODD = {**GEMMA2, "attn_logit_softcapping": 42.5, "hidden_size": 320, "intermediate_size": 352, "vocab_size": 1960}

CASES = (
    Case("Gemma-small", GEMMA, two_norms(GEMMA), VOCABULARY),
    # As many heads for keys as for queries, as in Gemma 7B.
    Case("Gemma-odd-rows", WIDE, two_norms(WIDE), VOCABULARY, dtype="float16", shards=2, slow=True),
    Case("Gemma2-small", GEMMA2, without_head_norms(GEMMA2), VOCABULARY),
    # The embedding is stored a second time as the head, which stays out.
    Case(
        "Gemma2-odd-rows",
        ODD,
        without_head_norms(ODD, tied=False),
        VOCABULARY,
        dtype="float16",
        slow=True,
    ),
)
