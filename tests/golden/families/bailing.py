"""Ling 2: a dense first layer, shared experts, with and without a layer that predicts further tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.relatives import relative
from golden.families.shapes import Tensors, mlp, norms
from golden.families.vocabularies import numbers
from golden.families.weights import around_one

VOCABULARY = relative("ling2")


def config(hidden: int, ffn: int, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of the Hub's."""
    return {
        "architectures": ["BailingMoeV2ForCausalLM"],
        "attention_dropout": 0.0,
        "embedding_dropout": 0.0,
        "first_k_dense_replace": 1,
        "head_dim": hidden // 4,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.006,
        "intermediate_size": 2 * ffn,
        "max_position_embeddings": 32768,
        "max_window_layers": 20,
        "model_type": "bailing_moe",
        "moe_intermediate_size": ffn,
        "moe_router_enable_expert_bias": True,
        "moe_shared_expert_intermediate_size": ffn,
        "n_group": 2,
        "norm_topk_prob": True,
        "num_attention_heads": 4,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "num_nextn_predict_layers": 0,
        "num_shared_experts": 1,
        "output_dropout": 0.0,
        "partial_rotary_factor": 0.5,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 600000,
        "routed_scaling_factor": 2.5,
        "router_dtype": "fp32",
        "score_function": "sigmoid",
        "tie_word_embeddings": False,
        "topk_group": 1,
        "use_bias": False,
        "use_cache": True,
        "use_qk_norm": True,
        "use_qkv_bias": False,
        "use_rmsnorm": True,
        **numbers(VOCABULARY),
        **more,
    }


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, head, ffn = config["hidden_size"], config["head_dim"], config["moe_intermediate_size"]
    heads, kv_heads, vocabulary = config["num_attention_heads"], config["num_key_value_heads"], config["vocab_size"]
    found = {name: Tensor((vocabulary, hidden)) for name in ("model.word_embeddings.weight", "lm_head.weight")}
    found |= norms(around_one, hidden, "model.norm")
    for layer in range(config["num_hidden_layers"] + config["num_nextn_predict_layers"]):
        prefix = f"model.layers.{layer}"
        found[f"{prefix}.attention.query_key_value.weight"] = Tensor(((heads + 2 * kv_heads) * head, hidden))
        found[f"{prefix}.attention.dense.weight"] = Tensor((hidden, heads * head))
        found |= norms(around_one, head, f"{prefix}.attention.query_layernorm", f"{prefix}.attention.key_layernorm")
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        if layer >= config["num_hidden_layers"]:
            found[f"{prefix}.eh_proj.weight"] = Tensor((hidden, 2 * hidden))
            found |= norms(around_one, hidden, *(f"{prefix}.{name}" for name in ("enorm", "hnorm", "final_layernorm")))
        if layer < config["first_k_dense_replace"]:
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
            continue
        found[f"{prefix}.mlp.gate.weight"] = Tensor((config["num_experts"], hidden))
        found[f"{prefix}.mlp.gate.expert_bias"] = Tensor((config["num_experts"],), dtype="float32")
        found |= mlp(f"{prefix}.mlp.shared_experts", hidden, ffn)
        for expert in range(config["num_experts"]):
            found |= mlp(f"{prefix}.mlp.experts.{expert}", hidden, ffn)
    return found


PLAIN, ODD = config(256, 256), config(288, 96)
MTP = config(256, 256, num_nextn_predict_layers=1, num_hidden_layers=2)

CASES = (
    Case("Ling-2", PLAIN, tensors(PLAIN), VOCABULARY),
    Case("Ling-2-MTP", MTP, tensors(MTP), VOCABULARY, slow=True),
    Case("Ling-2-odd-rows", ODD, tensors(ODD), VOCABULARY, dtype="float16", shards=2, slow=True),
)
