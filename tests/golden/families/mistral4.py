"""Mistral 4: Mistral 3's class around DeepSeek's attention; and DeepSeek V3.2, with its indexers."""

from __future__ import annotations

from golden.families.case import Case, Tensor
from golden.families.deepseek import V3, latent_attention
from golden.families.latent import indexed
from golden.families.relatives import relative
from golden.families.shapes import Tensors, ends, linear, mlp, norms
from golden.families.vocabularies import numbers, real
from golden.families.weights import around_one

TEKKEN = relative("ministral3")
TEXT = {
    **numbers(TEKKEN),
    "attention_bias": False,
    "attention_dropout": 0.0,
    "first_k_dense_replace": 0,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "kv_lora_rank": 256,
    "max_position_embeddings": 1048576,
    "model_type": "mistral4",
    "moe_intermediate_size": 256,
    "n_group": 1,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 2,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "q_lora_rank": 256,
    "qk_head_dim": 128,
    "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-06,
    "rope_interleave": True,
    "rope_parameters": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 128.0,
        "llama_4_scaling_beta": 0.1,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 8192,
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
        "rope_type": "yarn",
        "type": "yarn",
    },
    "routed_scaling_factor": 1.0,
    "tie_word_embeddings": False,
    "topk_group": 1,
    "use_cache": True,
    "v_head_dim": 128,
}
WHOLE = {
    "architectures": ["Mistral3ForConditionalGeneration"],
    "image_token_index": 10,
    "model_type": "mistral3",
    "multimodal_projector_bias": False,
    "projector_hidden_act": "gelu",
    "spatial_merge_size": 2,
    "text_config": TEXT,
    "tie_word_embeddings": False,
    "vision_config": {"hidden_size": 64, "model_type": "pixtral"},
    "vision_feature_layer": -1,
}


def tensors() -> Tensors:
    """Return the tensors of the text model, whose experts are stacks."""
    hidden, ffn, count = 256, 256, 4
    found = ends(TEXT["vocab_size"], hidden, around_one)
    for layer in range(2):
        prefix = f"model.layers.{layer}"
        found |= latent_attention(f"{prefix}.self_attn", TEXT)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= linear(f"{prefix}.mlp.gate", count, hidden) | mlp(f"{prefix}.mlp.shared_experts", hidden, ffn)
        found[f"{prefix}.mlp.experts.gate_up_proj"] = Tensor((count, 2 * ffn, hidden))
        found[f"{prefix}.mlp.experts.down_proj"] = Tensor((count, hidden, ffn))
    return {f"language_model.{name}": tensor for name, tensor in found.items()}


V32 = {
    **V3,
    "architectures": ["DeepseekV32ForCausalLM"],
    "index_head_dim": 128,
    "index_n_heads": 4,
    "index_topk": 2048,
    "model_type": "deepseek_v32",
}
TOWER = {"vision_tower.ln_pre.weight": Tensor((64,)), "multi_modal_projector.norm.weight": Tensor((64,))}

CASES = (
    Case("Mistral-4-small", WHOLE, tensors() | TOWER, TEKKEN),
    Case("DeepSeek-V3.2-small", V32, indexed(V32), real("deepseek_v3"), adds_bos=True),
)
