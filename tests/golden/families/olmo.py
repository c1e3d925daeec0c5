"""OLMo 2 and 3, and OLMoE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import numbers, real
from golden.families.weights import around_one

DOLMA, NEOX = relative("olmo2"), real("pythia-410m")

SMALL = {
    **{key: value for key, value in numbers(DOLMA).items() if key != "bos_token_id"},
    "architectures": ["Olmo2ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 4096,
    "model_type": "olmo2",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 500000,
    "tie_word_embeddings": False,
    "use_cache": True,
}
OLMO3 = {
    **SMALL,
    "architectures": ["Olmo3ForCausalLM"],
    "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
    "max_position_embeddings": 65536,
    "model_type": "olmo3",
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "rope_scaling": {
        "attention_factor": 1.2079441541679836,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 8.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "yarn",
    },
    "sliding_window": 4096,
}
MOE = {
    **SMALL,
    **numbers(NEOX),
    "architectures": ["OlmoeForCausalLM"],
    "clip_qkv": None,
    "model_type": "olmoe",
    "norm_topk_prob": False,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "output_router_logits": False,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "router_aux_loss_coef": 0.01,
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, heads, kv_heads = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    head, experts = hidden // heads, config.get("num_experts")
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        found |= attention(attn, hidden, heads, kv_heads, head)
        found |= norms(around_one, heads * head, f"{attn}.q_norm") | norms(
            around_one, kv_heads * head, f"{attn}.k_norm"
        )
        first = "input" if experts else "post_feedforward"
        found |= norms(around_one, hidden, f"{prefix}.post_attention_layernorm", f"{prefix}.{first}_layernorm")
        if experts:
            found[f"{prefix}.mlp.gate.weight"] = Tensor((experts, hidden))
            for expert in range(experts):
                found |= mlp(f"{prefix}.mlp.experts.{expert}", hidden, config["intermediate_size"])
        else:
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


CASES = (
    Case("OLMo-2-small", SMALL, tensors(SMALL), DOLMA),
    Case("Olmo-3-small", OLMO3, tensors(OLMO3), DOLMA, shards=2, slow=True),
    Case("OLMoE-small", MOE, tensors(MOE), NEOX),
)
