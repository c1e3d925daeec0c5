"""Granite 4 and Bamba, Nemotron-H and Nemotron 3: Mamba 2 with attention in some layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, attention, ends, linear, mlp, norms
from golden.families.vocabularies import real
from golden.families.weights import around_one, decay_logarithm

GRANITE_H = {
    "architectures": ["GraniteMoeHybridForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attention_multiplier": 0.0078125,
    "bos_token_id": 0,
    "embedding_multiplier": 12,
    "eos_token_id": 0,
    "hidden_act": "silu",
    "hidden_size": 256,
    "init_method": "mup",
    "initializer_range": 0.1,
    "intermediate_size": 256,
    "layer_types": ["mamba", "attention", "mamba"],
    "logits_scaling": 8,
    "mamba_chunk_size": 256,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_head": 64,
    "mamba_d_state": 64,
    "mamba_expand": 2,
    "mamba_n_groups": 1,
    "mamba_n_heads": 8,
    "mamba_proj_bias": False,
    "max_position_embeddings": 131072,
    "model_type": "granitemoehybrid",
    "normalization_function": "rmsnorm",
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "num_local_experts": 4,
    "output_router_logits": False,
    "pad_token_id": 0,
    "position_embedding_type": "nope",
    "residual_multiplier": 0.22,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000,
    "router_aux_loss_coef": 0.01,
    "shared_intermediate_size": 512,
    "tie_word_embeddings": True,
    "use_cache": True,
    "vocab_size": 2045,
}
DENSE_H = {
    **GRANITE_H,
    "intermediate_size": 512,
    "mamba_n_groups": 2,
    "num_experts_per_tok": 0,
    "num_local_experts": 0,
    "tie_word_embeddings": False,
}
#: All layers attend, as in Granite 4 Micro.
MICRO = {
    **DENSE_H,
    "layer_types": ["attention"] * 2,
    "num_hidden_layers": 2,
    "position_embedding_type": "rope",
    "vocab_size": 2048,
}
TINY = {**MICRO, "intermediate_size": 256, "num_experts_per_tok": 2, "num_local_experts": 4}
BAMBA = {
    "architectures": ["BambaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_layer_indices": [1],
    "attn_rotary_emb": 32,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "mamba_chunk_size": 256,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_head": 64,
    "mamba_d_state": 64,
    "mamba_expand": 2,
    "mamba_n_groups": 1,
    "mamba_n_heads": 8,
    "mamba_proj_bias": False,
    "max_position_embeddings": 4096,
    "mlp_bias": False,
    "model_type": "bamba",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_logits_to_keep": 1,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 2048,
}


def mamba(prefix: str, hidden: int, inner: int, heads: int, wide: int) -> Tensors:
    """Return a mixer of state spaces; `wide` is what its convolution sees."""
    return {
        **linear(f"{prefix}.in_proj", inner + wide + heads, hidden),
        **linear(f"{prefix}.out_proj", hidden, inner),
        **norms(around_one, inner, f"{prefix}.norm"),
        f"{prefix}.A_log": Tensor((heads,), decay_logarithm),
        f"{prefix}.D": Tensor((heads,), around_one),
        f"{prefix}.dt_bias": Tensor((heads,)),
        f"{prefix}.conv1d.weight": Tensor((wide, 1, 4)),
        f"{prefix}.conv1d.bias": Tensor((wide,)),
    }


def granite(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of Granite 4 or Bamba."""
    hidden, ffn, shared = config["hidden_size"], config["intermediate_size"], config.get("shared_intermediate_size")
    experts, heads = config.get("num_local_experts"), config["mamba_n_heads"]
    inner = config["mamba_expand"] * hidden
    wide = inner + 2 * config["mamba_n_groups"] * config["mamba_d_state"]
    found = ends(-(-config["vocab_size"] // 8) * 8, hidden, around_one, config["tie_word_embeddings"])
    if not shared:
        found["model.final_layernorm.weight"] = found.pop("model.norm.weight")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        kinds = config.get("layer_types")
        if kinds[layer] == "attention" if kinds else layer in config["attn_layer_indices"]:
            found |= attention(f"{prefix}.self_attn", hidden, 4, 2, 64)
        else:
            found |= mamba(f"{prefix}.mamba", hidden, inner, heads, wide)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm")
        if not shared:
            found |= norms(around_one, hidden, f"{prefix}.pre_ff_layernorm") | mlp(
                f"{prefix}.feed_forward", hidden, ffn
            )
            continue
        found |= norms(around_one, hidden, f"{prefix}.post_attention_layernorm")
        found |= linear(f"{prefix}.shared_mlp.input_linear", 2 * shared, hidden)
        found |= linear(f"{prefix}.shared_mlp.output_linear", hidden, shared)
        if experts:
            moe = f"{prefix}.block_sparse_moe"
            found[f"{moe}.input_linear.weight"] = Tensor((experts, 2 * ffn, hidden))
            found[f"{moe}.output_linear.weight"] = Tensor((experts, hidden, ffn))
            found |= linear(f"{moe}.router.layer", experts, hidden)
    return found


#: Nemotron Nano 2: no experts.
NANO_2 = {
    "architectures": ["NemotronHForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attention_head_dim": 96,
    "auto_map": {"AutoConfig": "configuration_nemotron_h.NemotronHConfig"},
    "bos_token_id": 0,
    "chunk_size": 128,
    "conv_kernel": 4,
    "eos_token_id": 0,
    "expand": 2,
    "head_dim": 96,
    "hidden_dropout": 0.0,
    "hidden_size": 256,
    "hybrid_override_pattern": "M-*-",
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "layer_norm_epsilon": 1e-05,
    "mamba_head_dim": 48,
    "mamba_hidden_act": "silu",
    "mamba_num_heads": 8,
    "mamba_proj_bias": False,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "mlp_hidden_act": "relu2",
    "model_type": "nemotron_h",
    "n_groups": 2,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "num_logits_to_keep": 1,
    "pad_token_id": 0,
    "rescale_prenorm_residual": True,
    "residual_in_fp32": False,
    "rms_norm_eps": 1e-05,
    "sliding_window": None,
    "ssm_state_size": 64,
    "tie_word_embeddings": False,
    "time_step_floor": 0.0001,
    "time_step_max": 0.1,
    "time_step_min": 0.001,
    "use_bias": False,
    "use_cache": True,
    "use_conv_bias": True,
    "vocab_size": 2048,
}
#: Nemotron 3 Nano.
NANO_3 = {
    **NANO_2,
    "hybrid_override_pattern": "MEM*E",
    "intermediate_size": 256,
    "moe_intermediate_size": 256,
    "moe_shared_expert_intermediate_size": 512,
    "n_group": 1,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "norm_eps": 1e-05,
    "norm_topk_prob": True,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 5,
    "partial_rotary_factor": 1.0,
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "topk_group": 1,
}
#: Nemotron 3 Super: experts in a smaller space, and an MTP layer.
SUPER = {**NANO_3, "moe_latent_size": 128, "mtp_hybrid_override_pattern": "*E", "num_nextn_predict_layers": 1}


def experts(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return a network of experts."""
    hidden, ffn, shared = (
        config[k] for k in ("hidden_size", "moe_intermediate_size", "moe_shared_expert_intermediate_size")
    )
    count, latent = config["n_routed_experts"], config.get("moe_latent_size")
    found = linear(f"{prefix}.gate", count, hidden)
    found[f"{prefix}.gate.e_score_correction_bias"] = Tensor((count,), dtype="float32")
    for expert in range(count):
        name = f"{prefix}.experts.{expert}"
        found |= linear(f"{name}.up_proj", ffn, latent or hidden) | linear(f"{name}.down_proj", latent or hidden, ffn)
    shares = f"{prefix}.shared_experts"
    found |= linear(f"{shares}.up_proj", shared, hidden) | linear(f"{shares}.down_proj", hidden, shared)
    if latent:
        found |= linear(f"{prefix}.fc1_latent_proj", latent, hidden) | linear(
            f"{prefix}.fc2_latent_proj", hidden, latent
        )
    return found


def nemotron(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of Nemotron-H."""
    hidden, heads = config["hidden_size"], config["mamba_num_heads"]
    inner = heads * config["mamba_head_dim"]
    wide = inner + 2 * config["n_groups"] * config["ssm_state_size"]
    rows = config["vocab_size"]
    found = {"backbone.embeddings.weight": Tensor((rows, hidden)), **norms(around_one, hidden, "backbone.norm_f")}
    for layer, kind in enumerate(config["hybrid_override_pattern"]):
        prefix = f"backbone.layers.{layer}"
        found |= norms(around_one, hidden, f"{prefix}.norm")
        found |= {
            "M": lambda at: mamba(at, hidden, inner, heads, wide),
            "*": lambda at: attention(at, hidden, 4, 2, config["head_dim"]),
            "-": lambda at: linear(f"{at}.up_proj", 512, hidden) | linear(f"{at}.down_proj", hidden, 512),
            "E": lambda at: experts(at, config),
        }[kind](f"{prefix}.mixer")
    if config.get("num_nextn_predict_layers"):
        first, second = "mtp.layers.0", "mtp.layers.1"
        found |= norms(around_one, hidden, *(f"{first}.{name}" for name in ("enorm", "hnorm", "norm")))
        found |= linear(f"{first}.eh_proj", hidden, 2 * hidden)
        found |= attention(f"{first}.mixer", hidden, 4, 2, config["head_dim"]) | experts(f"{second}.mixer", config)
        found |= norms(around_one, hidden, f"{second}.norm", f"{second}.final_layernorm")
    return found | linear("lm_head", rows, hidden)


WORDS, BYTES = real("granite-3.1-moe"), real("gpt2")
CASES = (
    Case("Granite-4-H-small", GRANITE_H, granite(GRANITE_H), WORDS),
    Case("Granite-4-H-dense", DENSE_H, granite(DENSE_H), WORDS, dtype="float16", shards=2, slow=True),
    Case("Granite-4-Micro", MICRO, granite(MICRO), WORDS, slow=True),
    Case("Granite-4-attention-and-experts", TINY, granite(TINY), WORDS, slow=True),
    Case("Bamba-small", BAMBA, granite(BAMBA), WORDS, slow=True),
    # The class of transformers 5 gives every model experts, so config.json is read as it stands.
    Case("Nemotron-Nano-2", NANO_2, nemotron(NANO_2), BYTES, dtype="float16", raw_config=True, slow=True),
    Case("Nemotron-3-Nano", NANO_3, nemotron(NANO_3), BYTES),
    Case("Nemotron-3-Super", SUPER, nemotron(SUPER), BYTES, slow=True),
)
