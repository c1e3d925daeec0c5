"""DeepSeek V2 and V3: latent attention, leading dense layers, routed and shared experts, an MTP layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor, Vocabulary
from golden.families.relatives import relative
from golden.families.shapes import Tensors, ends, mlp, norms
from golden.families.vocabularies import numbers, real
from golden.families.weights import around_one

VOCABULARY, LITE = real("deepseek_v3"), relative("deepseek-llm")

COMMON = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "moe_layer_freq": 1,
    "num_experts_per_tok": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000,
    "use_cache": True,
    "vocab_size": 2032,
}

#: DeepSeek V3: queries through a latent too, sigmoid gating with a bias for the choice of experts, groups of experts.
V3 = {
    **COMMON,
    "architectures": ["DeepseekV3ForCausalLM"],
    "ep_size": 1,
    "hidden_size": 256,
    "intermediate_size": 512,
    "kv_lora_rank": 256,
    "max_position_embeddings": 163840,
    "model_type": "deepseek_v3",
    "moe_intermediate_size": 256,
    "n_group": 2,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 256,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rope_scaling": {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 40,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096,
        "type": "yarn",
    },
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 1,
    "topk_method": "noaux_tc",
    "v_head_dim": 128,
}

#: DeepSeek V2 Lite: queries in one projection, softmax gating, two shared experts. llama.cpp knows it by its 27 layers.
V2_LITE = {
    **COMMON,
    **numbers(LITE),
    "architectures": ["DeepseekV2ForCausalLM"],
    "aux_loss_alpha": 0.001,
    "hidden_size": 64,
    "intermediate_size": 96,
    "kv_lora_rank": 64,
    "max_position_embeddings": 163840,
    "model_type": "deepseek_v2",
    "moe_intermediate_size": 32,
    "n_group": 1,
    "n_routed_experts": 4,
    "n_shared_experts": 2,
    "norm_topk_prob": False,
    "num_attention_heads": 2,
    "num_hidden_layers": 27,
    "num_key_value_heads": 2,
    "pretraining_tp": 1,
    "q_lora_rank": None,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "rope_scaling": {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 40,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
        "original_max_position_embeddings": 4096,
        "type": "yarn",
    },
    "routed_scaling_factor": 1.0,
    "scoring_func": "softmax",
    "seq_aux": True,
    "tie_word_embeddings": False,
    "topk_group": 1,
    "topk_method": "greedy",
    "v_head_dim": 32,
}


def latent_attention(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return the projections of latent attention, and the norms of the latents."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    rope, nope, value = (config[key] for key in ("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"))
    q_rank, kv_rank = config["q_lora_rank"], config["kv_lora_rank"]
    if q_rank is None:
        queries = {f"{prefix}.q_proj.weight": Tensor((heads * (nope + rope), hidden))}
    else:
        queries = {
            f"{prefix}.q_a_proj.weight": Tensor((q_rank, hidden)),
            **norms(around_one, q_rank, f"{prefix}.q_a_layernorm"),
            f"{prefix}.q_b_proj.weight": Tensor((heads * (nope + rope), q_rank)),
        }
    return {
        **queries,
        f"{prefix}.kv_a_proj_with_mqa.weight": Tensor((kv_rank + rope, hidden)),
        **norms(around_one, kv_rank, f"{prefix}.kv_a_layernorm"),
        f"{prefix}.kv_b_proj.weight": Tensor((heads * (nope + value), kv_rank)),
        f"{prefix}.o_proj.weight": Tensor((hidden, heads * value)),
    }


def experts(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return the router, the routed experts, and the shared ones, which are one network."""
    hidden, ffn, count = config["hidden_size"], config["moe_intermediate_size"], config["n_routed_experts"]
    found = {f"{prefix}.gate.weight": Tensor((count, hidden))}
    if config["topk_method"] == "noaux_tc":
        found[f"{prefix}.gate.e_score_correction_bias"] = Tensor((count,), dtype="float32")
    for expert in range(count):
        found |= mlp(f"{prefix}.experts.{expert}", hidden, ffn)
    return found | mlp(f"{prefix}.shared_experts", hidden, ffn * config["n_shared_experts"])


def layer(number: int, config: Mapping[str, Any]) -> Tensors:
    """Return one layer."""
    prefix, hidden = f"model.layers.{number}", config["hidden_size"]
    dense = number < config["first_k_dense_replace"]
    feed_forward = (
        mlp(f"{prefix}.mlp", hidden, config["intermediate_size"]) if dense else experts(f"{prefix}.mlp", config)
    )
    return {
        **latent_attention(f"{prefix}.self_attn", config),
        **norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm"),
        **feed_forward,
    }


def mtp(number: int, config: Mapping[str, Any]) -> Tensors:
    """Return the MTP layer: a whole layer, an own copy of the ends of the model, and what joins them."""
    prefix, hidden, vocabulary = f"model.layers.{number}", config["hidden_size"], config["vocab_size"]
    return {
        **layer(number, config),
        **norms(around_one, hidden, f"{prefix}.enorm", f"{prefix}.hnorm", f"{prefix}.shared_head.norm"),
        f"{prefix}.eh_proj.weight": Tensor((hidden, 2 * hidden)),
        f"{prefix}.embed_tokens.weight": Tensor((vocabulary, hidden)),
        f"{prefix}.shared_head.head.weight": Tensor((vocabulary, hidden)),
    }


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout; a tied head is stored all the same."""
    layers = config["num_hidden_layers"]
    found = ends(config["vocab_size"], config["hidden_size"], around_one)
    for number in range(layers):
        found |= layer(number, config)
    for number in range(layers, layers + config.get("num_nextn_predict_layers", 0)):
        found |= mtp(number, config)
    return found


ODD = {
    **V3,
    "hidden_size": 320,
    "kv_lora_rank": 160,
    "moe_intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_nextn_predict_layers": 0,
    "q_lora_rank": 96,
    "qk_nope_head_dim": 48,
    "qk_rope_head_dim": 32,
    "rope_scaling": None,
    "tie_word_embeddings": True,
    "v_head_dim": 64,
}
REAL = {
    **V3,
    "hidden_size": 32,
    "intermediate_size": 64,
    "kv_lora_rank": 32,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_nextn_predict_layers": 0,
    "q_lora_rank": 32,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32,
    "v_head_dim": 32,
    "vocab_size": 129280,
}

CASES = (
    Case("DeepSeek-V3-small", V3, tensors(V3), VOCABULARY, shards=2),
    Case("DeepSeek-V2-Lite", V2_LITE, tensors(V2_LITE), LITE),
    # Rows of 320, 160, 96 and 48 (k_b, which falls back to F16); a head that is stored although it is tied.
    Case("DeepSeek-V3-odd-rows", ODD, tensors(ODD), VOCABULARY, dtype="float16"),
    Case("DeepSeek-V3-real-tokenizer", REAL, tensors(REAL), Vocabulary(shared="deepseek_v3"), slow=True),
)
