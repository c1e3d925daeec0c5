"""Decoders with experts of other makers: AFM (Trinity), Hunyuan 3 and K-EXAONE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, attention, ends, linear, mlp, norms
from golden.families.vocabularies import QWEN_3_SPLIT, qwen
from golden.families.weights import around_one

SIZES = {
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 131072,
    "moe_intermediate_size": 256,
    "num_attention_heads": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "num_shared_experts": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 320,
}
WINDOWS = {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"], "sliding_window": 128}
AFM = {
    **SIZES,
    **WINDOWS,
    "architectures": ["AfmoeForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 280,
    "eos_token_id": 282,
    "global_attn_every_n_layers": 3,
    "load_balance_coeff": 0.001,
    "model_type": "afmoe",
    "mup_enabled": True,
    "n_group": 1,
    "num_dense_layers": 1,
    "num_expert_groups": 1,
    "num_limited_groups": 1,
    "num_shared_experts": 2,
    "rope_theta": 10000,
    "route_norm": True,
    "route_scale": 2.826,
    "score_func": "sigmoid",
    "topk_group": 1,
}
HUNYUAN = {
    **SIZES,
    "architectures": ["HYV3ForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 280,
    "eos_token_id": 282,
    "first_k_dense_replace": 1,
    "model_type": "hy_v3",
    "moe_router_enable_expert_bias": True,
    "moe_router_use_sigmoid": True,
    "num_nextn_predict_layers": 1,
    "qk_norm": True,
    "rope_theta": 11158840.0,
    "route_norm": True,
    "router_scaling_factor": 2.826,
}
HUNYUAN_SAVED = {**HUNYUAN, "hidden_size": 320, "moe_intermediate_size": 96, "num_nextn_predict_layers": 0}
EXAONE = {
    **SIZES,
    **WINDOWS,
    "architectures": ["ExaoneMoEForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 280,
    "eos_token_id": 282,
    "first_k_dense_replace": 1,
    "model_type": "exaone_moe",
    "n_group": 1,
    "norm_topk_prob": True,
    "num_nextn_predict_layers": 1,
    "pad_token_id": 281,
    "rope_theta": 1000000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "sliding_window_pattern": "LLLG",
    "topk_group": 1,
    "topk_method": "noaux_tc",
}
#: As newer files spell the class, and saved without the MTP layer.
EXAONE_SAVED = {**EXAONE, "architectures": ["ExaoneMoeForCausalLM"], "num_nextn_predict_layers": 0}


def _heads(prefix: str, config: Mapping[str, Any]) -> Tensors:
    hidden, head, attn = config["hidden_size"], config["head_dim"], f"{prefix}.self_attn"
    found = attention(attn, hidden, config["num_attention_heads"], config["num_key_value_heads"], head)
    found |= norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm")
    return found | norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")


def _experts(prefix: str, config: Mapping[str, Any], names: tuple[str, str, str]) -> Tensors:
    """Return experts; `names` are those of the router, of its bias, and of the shared experts."""
    hidden, ffn, count = config["hidden_size"], config["moe_intermediate_size"], config["num_experts"]
    router, bias, shared = names
    found = linear(f"{prefix}.{router}", count, hidden)
    found[f"{prefix}.{bias}"] = Tensor((count,), dtype="float32")
    found |= mlp(f"{prefix}.{shared}", hidden, config["num_shared_experts"] * ffn)
    for expert in range(count):
        found |= mlp(f"{prefix}.experts.{expert}", hidden, ffn)
    return found


def afm(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of AFM: gates of attention, and norms on both sides of both halves."""
    hidden = config["hidden_size"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= _heads(prefix, config)
        found |= linear(f"{prefix}.self_attn.gate_proj", config["num_attention_heads"] * config["head_dim"], hidden)
        found |= norms(around_one, hidden, f"{prefix}.pre_mlp_layernorm", f"{prefix}.post_mlp_layernorm")
        if layer < config["num_dense_layers"]:
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
        else:
            found |= _experts(f"{prefix}.mlp", config, ("router.gate", "expert_bias", "shared_experts"))
    return found


def hunyuan(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of Hunyuan 3, whose MTP layer is like the others."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(layers + config["num_nextn_predict_layers"]):
        prefix = f"model.layers.{layer}"
        found |= _heads(prefix, config)
        if layer < config["first_k_dense_replace"]:
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
        else:
            found |= _experts(f"{prefix}.mlp", config, ("router.gate", "expert_bias", "shared_mlp"))
        if layer >= layers:
            found |= linear(f"{prefix}.eh_proj", hidden, 2 * hidden)
            found |= norms(around_one, hidden, *(f"{prefix}.{name}" for name in ("enorm", "hnorm", "final_layernorm")))
    return found


def exaone(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of K-EXAONE, whose MTP layer has no experts."""
    hidden = config["hidden_size"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= _heads(prefix, config)
        if layer < config["first_k_dense_replace"]:
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
        else:
            found |= _experts(f"{prefix}.mlp", config, ("gate", "gate.e_score_correction_bias", "shared_experts"))
    if config["num_nextn_predict_layers"]:
        found |= linear("mtp.fc", hidden, 2 * hidden)
        found |= norms(around_one, hidden, "mtp.norm", "mtp.pre_fc_norm_embedding", "mtp.pre_fc_norm_hidden")
        found |= _heads("mtp.layers.0", config) | mlp("mtp.layers.0.mlp", hidden, config["intermediate_size"])
    return found


CASES = (
    Case("Trinity", AFM, afm(AFM), qwen(QWEN_3_SPLIT, "afmoe")),
    Case("Hunyuan-3", HUNYUAN, hunyuan(HUNYUAN), qwen(QWEN_3_SPLIT, "hunyuan")),
    Case(
        "Hunyuan-3-odd-rows",
        HUNYUAN_SAVED,
        hunyuan(HUNYUAN_SAVED),
        qwen(QWEN_3_SPLIT, "hunyuan"),
        dtype="float16",
        shards=2,
        slow=True,
    ),
    Case("K-EXAONE", EXAONE, exaone(EXAONE), qwen(QWEN_3_SPLIT, "exaone-moe")),
    Case("K-EXAONE-without-MTP", EXAONE_SAVED, exaone(EXAONE_SAVED), qwen(QWEN_3_SPLIT, "exaone-moe"), slow=True),
)
