"""Qwen 1.5 and 2 with experts: biases on queries, keys and values, and a shared expert with a gate of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.layouts import stacked
from golden.families.qwen2_kin import decoder
from golden.families.shapes import Tensors, ends, mlp
from golden.families.vocabularies import real
from golden.families.weights import around_one

SMALL = {
    "architectures": ["Qwen2MoeForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 2000,
    "decoder_sparse_step": 1,
    "eos_token_id": 2002,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 8192,
    "max_window_layers": 2,
    "model_type": "qwen2_moe",
    "moe_intermediate_size": 256,
    "norm_topk_prob": False,
    "num_attention_heads": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "output_router_logits": False,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.001,
    "shared_expert_intermediate_size": 512,
    "sliding_window": 8192,
    "tie_word_embeddings": False,
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 2048,
}
#: The sizes of the layers differ from multiples of 256, as those of the model with 14 billion weights.
ODD = {
    **SMALL,
    "hidden_size": 320,
    "moe_intermediate_size": 96,
    "num_experts": 3,
    "num_key_value_heads": 2,
    "shared_expert_intermediate_size": 160,
}


def _feed_forward(prefix: str, config: Mapping[str, Any]) -> Tensors:
    hidden = config["hidden_size"]
    found = {f"{prefix}.gate.weight": Tensor((config["num_experts"], hidden))}
    for expert in range(config["num_experts"]):
        found |= mlp(f"{prefix}.experts.{expert}", hidden, config["moe_intermediate_size"])
    found |= mlp(f"{prefix}.shared_expert", hidden, config["shared_expert_intermediate_size"])
    return {**found, f"{prefix}.shared_expert_gate.weight": Tensor((1, hidden))}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    found = ends(config["vocab_size"], config["hidden_size"], around_one)
    return found | decoder(config, _feed_forward)


CASES = (
    Case("Qwen2-MoE-single", SMALL, tensors(SMALL), real("qwen3"), shards=2),
    # As transformers 5 saves it.
    Case(
        "Qwen2-MoE-stacked",
        SMALL,
        tensors(SMALL),
        real("qwen3"),
        layout=stacked,
        weights_of="Qwen2-MoE-single",
        slow=True,
    ),
    Case("Qwen2-MoE-odd-rows", ODD, tensors(ODD), real("qwen3"), dtype="float16", slow=True),
)
