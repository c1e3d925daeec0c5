"""MiniCPM 3: latent attention whose keys and values stay in one matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.deepseek import latent_attention
from golden.families.shapes import Tensors, ends, mlp, norms
from golden.families.vocabularies import llama_sentencepiece
from golden.families.weights import around_one

SMALL = {
    "architectures": ["MiniCPM3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "dim_model_base": 256,
    "eos_token_id": [2, 300],
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.1,
    "intermediate_size": 512,
    "kv_lora_rank": 256,
    "max_position_embeddings": 32768,
    "model_type": "minicpm3",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "q_lora_rank": 256,
    "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 32,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "long_factor": [1.0 + number / 7 for number in range(16)],
        "original_max_position_embeddings": 32768,
        "short_factor": [1.0 + number / 9 for number in range(16)],
        "type": "longrope",
    },
    "scale_depth": 1.4,
    "scale_emb": 12,
    "use_cache": True,
    "vocab_size": 320,
}
ODD = {
    **SMALL,
    "hidden_size": 288,
    "intermediate_size": 160,
    "kv_lora_rank": 96,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "q_lora_rank": 160,
    "rope_scaling": None,
    "tie_word_embeddings": False,
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden = config["hidden_size"]
    sizes = {**config, "v_head_dim": hidden // config["num_attention_heads"]}
    found = ends(config["vocab_size"], hidden, around_one, config.get("tie_word_embeddings", True))
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= latent_attention(f"{prefix}.self_attn", sizes)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


CASES = (
    Case("MiniCPM3-small", SMALL, tensors(SMALL), llama_sentencepiece()),
    Case("MiniCPM3-odd-rows", ODD, tensors(ODD), llama_sentencepiece(), dtype="float16", shards=2, slow=True),
)
