"""MiniMax M2 and M3, the latter also inside a model of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import numbers, tokens
from golden.families.weights import around_one, around_zero

VOCABULARY = relative("minimax-m2")
IDS = numbers(VOCABULARY)


def m2(hidden: int, ffn: int, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of MiniMax M2's."""
    return {
        "architectures": ["MiniMaxM2ForCausalLM"],
        "attention_dropout": 0.0,
        "attn_type_list": [1, 1],
        **IDS,
        "bos_token_id": None,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": ffn,
        "max_position_embeddings": 196608,
        "model_type": "minimax_m2",
        "mtp_transformer_layers": 1,
        "num_attention_heads": 4,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "num_local_experts": 4,
        "num_mtp_modules": 3,
        "qk_norm_type": "per_layer",
        "rms_norm_eps": 1e-06,
        "rope_theta": 5000000,
        "rotary_dim": 32,
        "scoring_func": "sigmoid",
        "shared_intermediate_size": 0,
        "tie_word_embeddings": False,
        "use_cache": True,
        "use_mtp": True,
        "use_qk_norm": True,
        "use_routing_bias": True,
        **more,
    }


def m3(hidden: int, ffn: int, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of MiniMax M3's text part."""
    return {
        "architectures": ["MiniMaxM3SparseForCausalLM"],
        **IDS,
        "dense_intermediate_size": 2 * ffn,
        "head_dim": 64,
        "hidden_act": "swigluoai",
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "max_position_embeddings": 524288,
        "model_type": "minimax_m3_vl_text",
        "moe_layer_freq": [0, 1, 1],
        "n_shared_experts": 1,
        "num_attention_heads": 4,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "num_local_experts": 4,
        "qk_norm_type": "per_head",
        "rms_norm_eps": 1e-06,
        "rope_theta": 5000000,
        "rotary_dim": 32,
        "routed_scaling_factor": 2.0,
        "scoring_func": "sigmoid",
        "shared_intermediate_size": ffn,
        "sparse_attention_config": {
            "sparse_attention_freq": [0, 1, 1],
            "sparse_block_size": 128,
            "sparse_index_dim": 64,
            "sparse_local_block": 1,
            "sparse_num_index_heads": 2,
            "sparse_topk_blocks": 16,
            "use_sparse_attention": True,
        },
        "swiglu_alpha": 1.702,
        "swiglu_limit": 7.0,
        "tie_word_embeddings": False,
        "use_gemma_norm": True,
        "use_qk_norm": True,
        "use_routing_bias": True,
        **more,
    }


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, heads, kv_heads = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    head, ffn = config["head_dim"], config["intermediate_size"]
    sparse = config.get("sparse_attention_config")
    norm = around_zero if sparse else around_one
    found = ends(config["vocab_size"], hidden, norm)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn, moe = f"{prefix}.self_attn", f"{prefix}.block_sparse_moe"
        found |= attention(attn, hidden, heads, kv_heads, head)
        found |= norms(norm, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= norms(norm, head if sparse else heads * head, f"{attn}.q_norm")
        found |= norms(norm, head if sparse else kv_heads * head, f"{attn}.k_norm")
        if sparse and not config["moe_layer_freq"][layer]:
            found |= mlp(f"{prefix}.mlp", hidden, config["dense_intermediate_size"])
            continue
        found[f"{moe}.gate.weight"] = Tensor((config["num_local_experts"], hidden))
        found[f"{moe}.e_score_correction_bias"] = Tensor((config["num_local_experts"],), dtype="float32")
        for expert in range(config["num_local_experts"]):
            found |= mlp(f"{moe}.experts.{expert}", hidden, ffn, ("w1", "w3", "w2"))
        if sparse:
            found |= mlp(f"{moe}.shared_experts", hidden, ffn)
            size = sparse["sparse_index_dim"]
            found[f"{attn}.index_q_proj.weight"] = Tensor((sparse["sparse_num_index_heads"] * size, hidden))
            found[f"{attn}.index_k_proj.weight"] = Tensor((size, hidden))
            found |= norms(norm, size, f"{attn}.index_q_norm", f"{attn}.index_k_norm")
    return found


M2, ODD = m2(256, 256), m2(288, 96)
M3 = m3(256, 256)
INSIDE = {
    "architectures": ["MiniMaxM3SparseForConditionalGeneration"],
    "image_token_index": tokens(VOCABULARY)["]<]image[>["],
    "model_type": "minimax_m3_vl",
    "text_config": {name: value for name, value in M3.items() if name != "architectures"},
    "tie_word_embeddings": False,
    "vision_config": {"hidden_size": 64, "model_type": "minimax_m3_vl_vision"},
}
IMAGES = {
    "vision_tower.vision_model.pre_layrnorm.weight": Tensor((64,)),
    "multi_modal_projector.linear_1.weight": Tensor((64, 64)),
    "patch_merge_mlp.linear_1.weight": Tensor((64, 64)),
}

CASES = (
    Case("MiniMax-M2", M2, tensors(M2), VOCABULARY),
    Case("MiniMax-M2-odd-rows", ODD, tensors(ODD), VOCABULARY, dtype="float16", shards=2, slow=True),
    Case("MiniMax-M3", M3, tensors(M3), VOCABULARY, raw_config=True),
    Case("MiniMax-M3-float16", M3, tensors(M3), VOCABULARY, dtype="float16", raw_config=True, slow=True),
    Case(
        "MiniMax-M3-in-a-larger-model",
        INSIDE,
        {f"language_model.{name}": tensor for name, tensor in tensors(M3).items()} | IMAGES,
        VOCABULARY,
        raw_config=True,
        slow=True,
    ),
)
