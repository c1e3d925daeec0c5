"""Llama 4, Ministral 3 and InternLM 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.llama_kin import BASE
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, ends, linear, mlp, norms
from golden.families.vocabularies import llama_real, numbers, tokens
from golden.families.weights import around_one

WORDS, TEKKEN = relative("llama4"), relative("ministral3")
IDS = tokens(WORDS)
SCALING = {
    "factor": 16.0,
    "high_freq_factor": 1.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
SCOUT = {
    **BASE,
    **numbers(WORDS),
    "architectures": ["Llama4ForCausalLM"],
    "attention_chunk_size": 8192,
    "attn_scale": 0.1,
    "attn_temperature_tuning": True,
    "floor_scale": 8192,
    "for_llm_compression": False,
    "head_dim": 64,
    "interleave_moe_layer_step": 2,
    "intermediate_size": 256,
    "intermediate_size_mlp": 512,
    "max_position_embeddings": 1048576,
    "model_type": "llama4_text",
    "no_rope_layers": [1, 1, 1, 0],
    "num_experts_per_tok": 1,
    "num_hidden_layers": 4,
    "num_local_experts": 4,
    "output_router_logits": False,
    "rope_scaling": {**SCALING, "high_freq_factor": 4.0},
    "rope_theta": 500000.0,
    "router_aux_loss_coef": 0.001,
    "use_qk_norm": True,
}
WHOLE = {
    "architectures": ["Llama4ForConditionalGeneration"],
    "boi_token_index": IDS["<|image_start|>"],
    "eoi_token_index": IDS["<|image_end|>"],
    "image_token_index": IDS["<|patch|>"],
    "model_type": "llama4",
    "text_config": {
        **{key: value for key, value in SCOUT.items() if key != "architectures"},
        "interleave_moe_layer_step": 1,
        "num_hidden_layers": 2,
        "no_rope_layers": [1, 1],
    },
    "tie_word_embeddings": False,
    "vision_config": {"hidden_size": 64, "model_type": "llama4_vision_model"},
}
MINISTRAL = {
    **BASE,
    **numbers(TEKKEN),
    "architectures": ["Ministral3ForCausalLM"],
    "head_dim": 64,
    "max_position_embeddings": 262144,
    "model_type": "ministral3",
    "rope_parameters": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 16.0,
        "llama_4_scaling_beta": 0.1,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 16384,
        "rope_theta": 1000000.0,
        "rope_type": "yarn",
        "type": "yarn",
    },
    "sliding_window": None,
    "tie_word_embeddings": True,
}
del MINISTRAL["rope_scaling"], MINISTRAL["rope_theta"]
MISTRAL = {
    "architectures": ["Mistral3ForConditionalGeneration"],
    "image_token_index": 10,
    "model_type": "mistral3",
    "multimodal_projector_bias": False,
    "projector_hidden_act": "gelu",
    "spatial_merge_size": 2,
    "text_config": {**BASE, **numbers(TEKKEN), "head_dim": 64, "model_type": "mistral", "sliding_window": None},
    "vision_config": {"hidden_size": 64, "model_type": "pixtral"},
    "vision_feature_layer": -1,
}
INTERNLM3 = {
    **BASE,
    "architectures": ["InternLM3ForCausalLM"],
    "auto_map": {"AutoConfig": "configuration_internlm3.InternLM3Config"},
    "bias": False,
    "head_dim": 64,
    "model_type": "internlm3",
    "qkv_bias": False,
    "rope_scaling": {"factor": 6.0, "rope_type": "dynamic"},
    "rope_theta": 50000000,
    "vocab_size": 2000,
}


def dense(config: Mapping[str, Any], prefix: str = "") -> Tensors:
    """Return the tensors of a decoder like Llama's."""
    hidden = config["hidden_size"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        found |= attention(f"{name}.self_attn", hidden, 4, 2, 64)
        found |= mlp(f"{name}.mlp", hidden, config["intermediate_size"])
        found |= norms(around_one, hidden, f"{name}.input_layernorm", f"{name}.post_attention_layernorm")
    return {prefix + name: tensor for name, tensor in found.items()}


def sparse(config: Mapping[str, Any], prefix: str = "") -> Tensors:
    """Return the tensors of Llama 4, whose stacks of experts are transposed."""
    hidden, ffn, experts = config["hidden_size"], config["intermediate_size"], config["num_local_experts"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        found |= attention(f"{name}.self_attn", hidden, 4, 2, 64)
        found |= norms(around_one, hidden, f"{name}.input_layernorm", f"{name}.post_attention_layernorm")
        if (layer + 1) % config["interleave_moe_layer_step"]:
            found |= mlp(f"{name}.feed_forward", hidden, config["intermediate_size_mlp"])
            continue
        found |= mlp(f"{name}.feed_forward.shared_expert", hidden, ffn)
        found |= linear(f"{name}.feed_forward.router", experts, hidden)
        found[f"{name}.feed_forward.experts.gate_up_proj"] = Tensor((experts, hidden, 2 * ffn))
        found[f"{name}.feed_forward.experts.down_proj"] = Tensor((experts, ffn, hidden))
    return {prefix + name: tensor for name, tensor in found.items()}


VISION = {
    "vision_model.class_embedding": Tensor((64,)),
    "multi_modal_projector.linear_1.weight": Tensor((64, 64)),
}
TOWER = {
    "vision_tower.ln_pre.weight": Tensor((64,)),
    "multi_modal_projector.norm.weight": Tensor((64,)),
}

CASES = (
    Case("Llama-4-small", SCOUT, sparse(SCOUT), WORDS),
    Case(
        "Llama-4-in-a-larger-model",
        WHOLE,
        sparse(WHOLE["text_config"], "language_model.") | VISION,
        WORDS,
        dtype="float16",
        shards=2,
        slow=True,
    ),
    Case("Ministral-3-small", MINISTRAL, dense(MINISTRAL), TEKKEN),
    Case(
        "Mistral-3-in-a-larger-model",
        MISTRAL,
        dense(MISTRAL["text_config"], "language_model.") | TOWER,
        TEKKEN,
        slow=True,
    ),
    Case("InternLM3-small", INTERNLM3, dense(INTERNLM3), llama_real(), slow=True),
)
