"""StarCoder 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, biased, ends, linear, norms
from golden.families.vocabularies import numbers
from golden.families.weights import around_one

VOCABULARY = relative("starcoder2")

SMALL = {
    **numbers(VOCABULARY),
    "activation_function": "gelu_pytorch_tanh",
    "architectures": ["Starcoder2ForCausalLM"],
    "attention_dropout": 0.1,
    "attention_softmax_in_fp32": True,
    "embedding_dropout": 0.1,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_size": 256,
    "initializer_range": 0.018042,
    "intermediate_size": 1024,
    "layer_norm_epsilon": 1e-05,
    "max_position_embeddings": 16384,
    "mlp_type": "default",
    "model_type": "starcoder2",
    "norm_epsilon": 1e-05,
    "norm_type": "layer_norm",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "residual_dropout": 0.1,
    "rope_theta": 999999.4420358813,
    "scale_attention_softmax_in_fp32": True,
    "scale_attn_weights": True,
    "sliding_window": 4096,
    "use_bias": True,
    "use_cache": True,
}
UNTIED = {**SMALL, "tie_word_embeddings": False}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    found = biased(ends(config["vocab_size"], hidden, around_one, config.get("tie_word_embeddings", True)), "norm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= biased(
            attention(f"{prefix}.self_attn", hidden, config["num_attention_heads"], config["num_key_value_heads"], 64)
            | linear(f"{prefix}.mlp.c_fc", ffn, hidden)
            | linear(f"{prefix}.mlp.c_proj", hidden, ffn)
            | norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        )
    return found


CASES = (
    Case("Starcoder2-small", SMALL, tensors(SMALL), VOCABULARY),
    Case("Starcoder2-untied", UNTIED, tensors(UNTIED), VOCABULARY, slow=True),
)
