"""MiniCPM 1, 2 and 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import llama_real, llama_sentencepiece
from golden.families.weights import around_one

SMALL = {
    "architectures": ["MiniCPMForCausalLM"],
    "auto_map": {
        "AutoConfig": "configuration_minicpm.MiniCPMConfig",
        "AutoModelForCausalLM": "modeling_minicpm.MiniCPMForCausalLM",
    },
    "bos_token_id": 1,
    "dim_model_base": 64,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.1,
    "intermediate_size": 512,
    "max_position_embeddings": 4096,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "scale_depth": 1.4,
    "scale_emb": 12,
    "use_cache": True,
    "vocab_size": 2000,
}
LONG = {
    **SMALL,
    "dim_model_base": 256,
    "max_position_embeddings": 32768,
    "model_type": "minicpm",
    "num_key_value_heads": 2,
    "rope_scaling": {
        "long_factor": [1.0 + number / 7 for number in range(32)],
        "original_max_position_embeddings": 32768,
        "rope_type": "longrope",
        "short_factor": [1.0 + number / 9 for number in range(32)],
    },
    "tie_word_embeddings": False,
    "vocab_size": 320,
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden = config["hidden_size"]
    found = ends(config["vocab_size"], hidden, around_one, config.get("tie_word_embeddings", True))
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        found |= attention(f"{prefix}.self_attn", hidden, heads, kv_heads, hidden // heads)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


CASES = (
    Case("MiniCPM-small", SMALL, tensors(SMALL), llama_real()),
    Case("MiniCPM4-long", LONG, tensors(LONG), llama_sentencepiece(), slow=True),
)
