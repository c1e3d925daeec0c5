"""LFM2, dense and with experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.relatives import relative
from golden.families.shapes import Tensors, linear, norms
from golden.families.vocabularies import numbers
from golden.families.weights import around_one

VOCABULARY = relative("lfm2")

SMALL = {
    **numbers(VOCABULARY),
    "architectures": ["Lfm2ForCausalLM"],
    "block_auto_adjust_ff_dim": True,
    "block_dim": 256,
    "block_ff_dim": 768,
    "block_ffn_dim_multiplier": 1.0,
    "block_mlp_init_scale": 1.0,
    "block_multiple_of": 256,
    "block_norm_eps": 1e-05,
    "block_out_init_scale": 1.0,
    "block_use_swiglu": True,
    "block_use_xavier_init": True,
    "conv_L_cache": 3,
    "conv_bias": False,
    "conv_dim": 256,
    "conv_dim_out": 256,
    "conv_use_xavier_init": True,
    "hidden_size": 256,
    "initializer_range": 0.02,
    "layer_types": ["conv", "conv", "full_attention", "conv"],
    "max_position_embeddings": 128000,
    "model_type": "lfm2",
    "norm_eps": 1e-05,
    "num_attention_heads": 4,
    "num_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "rope_theta": 1000000.0,
    "use_cache": True,
    "use_pos_enc": True,
}
MOE = {
    **{key: value for key, value in SMALL.items() if not key.startswith("block_") and key != "conv_dim"},
    "architectures": ["Lfm2MoeForCausalLM"],
    "intermediate_size": 512,
    "model_type": "lfm2_moe",
    "moe_intermediate_size": 256,
    "norm_topk_prob": True,
    "num_dense_layers": 2,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "routed_scaling_factor": 1.0,
    "use_expert_bias": True,
}


def swiglu(prefix: str, hidden: int, ffn: int) -> Tensors:
    """Return a gated feed-forward network."""
    gates = linear(f"{prefix}.w1", ffn, hidden) | linear(f"{prefix}.w3", ffn, hidden)
    return gates | linear(f"{prefix}.w2", hidden, ffn)


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, experts = config["hidden_size"], config.get("num_experts", 0)
    found = {
        **linear("model.embed_tokens", config["vocab_size"], hidden),
        **norms(around_one, hidden, "model.embedding_norm"),
    }
    for layer, kind in enumerate(config["layer_types"]):
        prefix = f"model.layers.{layer}"
        found |= norms(around_one, hidden, f"{prefix}.operator_norm", f"{prefix}.ffn_norm")
        if kind == "conv":
            found |= linear(f"{prefix}.conv.in_proj", 3 * hidden, hidden)
            found |= linear(f"{prefix}.conv.out_proj", hidden, hidden)
            found[f"{prefix}.conv.conv.weight"] = Tensor((hidden, 1, 3))
        else:
            for name, rows in (("q_proj", 256), ("k_proj", 128), ("v_proj", 128), ("out_proj", 256)):
                found |= linear(f"{prefix}.self_attn.{name}", rows, hidden)
            found |= norms(around_one, 64, f"{prefix}.self_attn.q_layernorm", f"{prefix}.self_attn.k_layernorm")
        if experts and layer >= config["num_dense_layers"]:
            found |= linear(f"{prefix}.feed_forward.gate", experts, hidden)
            found[f"{prefix}.feed_forward.expert_bias"] = Tensor((experts,), dtype="float32")
            for expert in range(experts):
                found |= swiglu(f"{prefix}.feed_forward.experts.{expert}", hidden, config["moe_intermediate_size"])
        else:
            found |= swiglu(f"{prefix}.feed_forward", hidden, 512)
    return found


CASES = (
    Case("LFM2-small", SMALL, tensors(SMALL), VOCABULARY),
    Case("LFM2-MoE-small", MOE, tensors(MOE), VOCABULARY),
)
