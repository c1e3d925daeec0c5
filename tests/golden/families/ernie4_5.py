"""ERNIE 4.5, dense and with experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, attention, ends, linear, mlp, norms
from golden.families.vocabularies import llama_real, llama_sentencepiece
from golden.families.weights import around_one

SMALL = {
    "architectures": ["Ernie4_5ForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "intermediate_size": 512,
    "max_position_embeddings": 131072,
    "model_type": "ernie4_5",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "use_bias": False,
    "use_cache": False,
    "vocab_size": 2000,
}
OLD = {**SMALL, "vocab_size": 320, "architectures": ["Ernie4_5_ForCausalLM"], "tie_word_embeddings": False}
MOE = {
    **{key: value for key, value in SMALL.items() if key != "head_dim"},
    "architectures": ["Ernie4_5_MoeForCausalLM"],
    "model_type": "ernie4_5_moe",
    "moe_capacity": [64, 64, 64],
    "moe_gate": "topk",
    "moe_intermediate_size": 128,
    "moe_k": 2,
    "moe_layer_interval": 1,
    "moe_layer_start_index": 1,
    "moe_num_experts": 4,
    "moe_num_shared_experts": 2,
    "moe_use_aux_free": True,
    "num_hidden_layers": 3,
    "num_nextn_predict_layers": 1,
    "tie_word_embeddings": False,
}


def tensors(config: Mapping[str, Any], fused: bool = False) -> Tensors:
    """Return the tensors of the Hub's layout, or, fused, of older files."""
    hidden, head, ffn = config["hidden_size"], config.get("head_dim", 64), config["intermediate_size"]
    heads, kv_heads, experts = (
        config["num_attention_heads"],
        config["num_key_value_heads"],
        config.get("moe_num_experts"),
    )
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        if fused:
            found |= linear(f"{prefix}.self_attn.qkv_proj", (heads + 2 * kv_heads) * head, hidden)
            found |= linear(f"{prefix}.self_attn.o_proj", hidden, heads * head)
        else:
            found |= attention(f"{prefix}.self_attn", hidden, heads, kv_heads, head)
        if experts and layer >= config["moe_layer_start_index"]:
            wide = config["moe_intermediate_size"]
            found[f"{prefix}.mlp.gate.weight"] = Tensor((experts, hidden), dtype="float32")
            found[f"{prefix}.mlp.moe_statics.e_score_correction_bias"] = Tensor((1, experts), dtype="float32")
            found |= mlp(f"{prefix}.mlp.shared_experts", hidden, config["moe_num_shared_experts"] * wide)
            for expert in range(experts):
                found |= mlp(f"{prefix}.mlp.experts.{expert}", hidden, wide)
        elif fused:
            found |= linear(f"{prefix}.mlp.up_gate_proj", 2 * ffn, hidden) | linear(
                f"{prefix}.mlp.down_proj", hidden, ffn
            )
        else:
            found |= mlp(f"{prefix}.mlp", hidden, ffn)
    return found


PREDICTION = {
    "model.mtp_block.0.mlp.gate_proj.weight": Tensor((512, 256)),
    "model.mtp_emb_norm.0.weight": Tensor((256,)),
    "model.mtp_hidden_norm.0.weight": Tensor((256,)),
    "model.mtp_linear_proj.0.weight": Tensor((256, 512)),
}
CASES = (
    Case("ERNIE-4.5-small", SMALL, tensors(SMALL), llama_real()),
    Case("ERNIE-4.5-fused", OLD, tensors(OLD, fused=True), llama_sentencepiece(), slow=True),
    Case("ERNIE-4.5-MoE-small", MOE, tensors(MOE) | PREDICTION, llama_real()),
)
