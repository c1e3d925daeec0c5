"""Llama 2 and 3, Mistral and SmolLM2, with the keys and the tokenizers of the Hub's files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.qwen2_kin import decoder
from golden.families.shapes import Tensors, ends
from golden.families.vocabularies import llama_real, numbers, real, tokens
from golden.families.weights import around_one

LLAMA_3, MISTRAL_V3, SMOL = real("llama3_1"), real("mistral-7b-v0.3"), real("smollm2")
IDS = tokens(LLAMA_3)

BASE = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "use_cache": True,
}
LLAMA3 = {
    **BASE,
    **numbers(LLAMA_3),
    "eos_token_id": [IDS["<|end_of_text|>"], IDS["<|eot_id|>"]],
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}
#: Heads of 48 on rows of 288; a head for each key.
LLAMA2 = {
    **{key: value for key, value in BASE.items() if key not in ("attention_bias", "attention_dropout", "mlp_bias")},
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_size": 288,
    "intermediate_size": 352,
    "max_position_embeddings": 4096,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "pad_token_id": 0,
    "vocab_size": 2000,
}
del LLAMA2["rope_theta"]
MISTRAL = {
    **{key: value for key, value in BASE.items() if key not in ("attention_bias", "mlp_bias", "rope_scaling")},
    **numbers(MISTRAL_V3),
    "architectures": ["MistralForCausalLM"],
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "rope_theta": 1000000.0,
    "sliding_window": None,
}
del MISTRAL["pretraining_tp"]
SMOLLM2 = {
    **BASE,
    **numbers(SMOL),
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "rope_interleaved": False,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16", "q4f16": "float16"}},
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    found = ends(config["vocab_size"], config["hidden_size"], around_one, config["tie_word_embeddings"])
    return found | decoder(config, biased=False)


CASES = (
    Case("Llama-3.1-small", LLAMA3, tensors(LLAMA3), LLAMA_3, shards=2),
    Case("Llama-2-small", LLAMA2, tensors(LLAMA2), llama_real(), dtype="float16", slow=True),
    Case("Mistral-v0.3-small", MISTRAL, tensors(MISTRAL), MISTRAL_V3, slow=True),
    Case("SmolLM2-small", SMOLLM2, tensors(SMOLLM2), SMOL, slow=True),
)
