"""EXAONE 4, with and without windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import numbers
from golden.families.weights import around_one

VOCABULARY = relative("exaone4")

SMALL = {
    **numbers(VOCABULARY),
    "architectures": ["Exaone4ForCausalLM"],
    "attention_dropout": 0.0,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "intermediate_size": 512,
    "layer_types": ["full_attention", "full_attention"],
    "max_position_embeddings": 65536,
    "model_type": "exaone4",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 16.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 1000000,
    "sliding_window": None,
    "sliding_window_pattern": None,
    "tie_word_embeddings": True,
    "use_cache": True,
}
LARGE = {
    **SMALL,
    "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
    "num_hidden_layers": 4,
    "sliding_window": 4096,
    "sliding_window_pattern": "LLLG",
    "tie_word_embeddings": False,
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, head = config["hidden_size"], config["head_dim"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        found |= attention(attn, hidden, config["num_attention_heads"], config["num_key_value_heads"], head)
        found |= norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm")
        found |= norms(around_one, hidden, f"{prefix}.post_attention_layernorm", f"{prefix}.post_feedforward_layernorm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


CASES = (
    Case("EXAONE-4.0-small", SMALL, tensors(SMALL), VOCABULARY),
    Case("EXAONE-4.0-window", LARGE, tensors(LARGE), VOCABULARY, slow=True),
)
