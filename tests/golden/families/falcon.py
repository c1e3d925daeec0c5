"""Falcon 7B and 40B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.relatives import relative
from golden.families.shapes import Tensors, biased, linear, norms
from golden.families.vocabularies import numbers
from golden.families.weights import around_one

VOCABULARY = relative("falcon")

SMALL = {
    **numbers(VOCABULARY),
    "bos_token_id": numbers(VOCABULARY)["eos_token_id"],
    "alibi": False,
    "apply_residual_connection_post_layernorm": False,
    "architectures": ["FalconForCausalLM"],
    "attention_dropout": 0.0,
    "bias": False,
    "hidden_dropout": 0.0,
    "hidden_size": 256,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "falcon",
    "multi_query": True,
    "new_decoder_architecture": False,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "parallel_attn": True,
    "use_cache": True,
}
LARGE = {**SMALL, "new_decoder_architecture": True, "num_kv_heads": 2}
OLD = {
    **{key: value for key, value in SMALL.items() if not key.startswith("num_")},
    "architectures": ["RWForCausalLM"],
    "model_type": "RefinedWeb",
    "n_head": 4,
    "n_head_kv": 2,
    "n_layer": 2,
}


def tensors(config: Mapping[str, Any], groups: int, tied: bool = False) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden = config["hidden_size"]
    found = {
        **linear("transformer.word_embeddings", config["vocab_size"], hidden),
        **biased(norms(around_one, hidden, "transformer.ln_f")),
    }
    if not tied:
        found |= linear("lm_head", config["vocab_size"], hidden)
    for layer in range(2):
        prefix = f"transformer.h.{layer}"
        names = ("input_layernorm",) if groups == 1 else ("ln_attn", "ln_mlp")
        found |= biased(norms(around_one, hidden, *(f"{prefix}.{name}" for name in names)))
        found |= linear(f"{prefix}.self_attention.query_key_value", (4 + 2 * groups) * 64, hidden)
        found |= linear(f"{prefix}.self_attention.dense", hidden, hidden)
        found |= linear(f"{prefix}.mlp.dense_h_to_4h", 4 * hidden, hidden)
        found |= linear(f"{prefix}.mlp.dense_4h_to_h", hidden, 4 * hidden)
    return found


CASES = (
    # transformers 5 adds num_kv_heads, by which the reference fails.
    Case("Falcon-7b-small", SMALL, tensors(SMALL, 1), VOCABULARY, raw_config=True),
    Case("Falcon-40b-small", LARGE, tensors(LARGE, 2, tied=True), VOCABULARY, slow=True),
    Case("Falcon-40b-old-config", OLD, tensors(OLD, 2), VOCABULARY, dtype="float16", slow=True),
)
