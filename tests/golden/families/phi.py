"""Phi-2, Phi-3 with and without factors for long contexts, Phi-4, and PhiMoE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import llama_sentencepiece, numbers, real
from golden.families.weights import around_one

CODEGEN, MINI, SMALL_BPE, CL100K = relative("phi-2"), real("phi3-mini"), relative("phi-4-mini"), relative("phi-4")

PHI_2 = {
    **numbers(CODEGEN),
    "architectures": ["PhiForCausalLM"],
    "attention_dropout": 0.0,
    "embd_pdrop": 0.0,
    "hidden_act": "gelu_new",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 1024,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "model_type": "phi",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "partial_rotary_factor": 0.5,
    "qk_layernorm": False,
    "resid_pdrop": 0.1,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "use_cache": True,
}


def phi_2(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of Phi-2 on the Hub."""
    hidden, ffn, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    found: Tensors = {"model.embed_tokens.weight": Tensor((vocabulary, hidden))}
    found |= {"lm_head.weight": Tensor((vocabulary, hidden)), "lm_head.bias": Tensor((vocabulary,))}
    found |= _layer_norms(hidden, "model.final_layernorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "dense"):
            found[f"{prefix}.self_attn.{name}.weight"] = Tensor((hidden, hidden))
            found[f"{prefix}.self_attn.{name}.bias"] = Tensor((hidden,))
        found |= {f"{prefix}.mlp.fc1.weight": Tensor((ffn, hidden)), f"{prefix}.mlp.fc1.bias": Tensor((ffn,))}
        found |= {f"{prefix}.mlp.fc2.weight": Tensor((hidden, ffn)), f"{prefix}.mlp.fc2.bias": Tensor((hidden,))}
        found |= _layer_norms(hidden, f"{prefix}.input_layernorm")
    return found


def _layer_norms(hidden: int, *names: str) -> Tensors:
    return {**norms(around_one, hidden, *names), **{f"{name}.bias": Tensor((hidden,)) for name in names}}


def phi_3(hidden: int, heads: int, kv_heads: int, ffn: int, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of Phi-3's."""
    return {
        "architectures": ["Phi3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "auto_map": {
            "AutoConfig": "configuration_phi3.Phi3Config",
            "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
        },
        "bos_token_id": 1,
        "embd_pdrop": 0.0,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": ffn,
        "max_position_embeddings": 4096,
        "model_type": "phi3",
        "num_attention_heads": heads,
        "num_hidden_layers": 2,
        "num_key_value_heads": kv_heads,
        "original_max_position_embeddings": 4096,
        "pad_token_id": 0,
        "resid_pdrop": 0.0,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "sliding_window": 2047,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": 320,
        **more,
    }


def long(pairs: int) -> dict[str, Any]:
    """Return what a model for long contexts has instead."""
    scaling = {
        "long_factor": [1 + 0.37 * pair for pair in range(pairs)],
        "short_factor": [1.0 + 0.01 * (pair // 3) for pair in range(pairs)],
        "type": "longrope",
    }
    return {"max_position_embeddings": 131072, "rope_scaling": scaling, "sliding_window": 262144}


def fused(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of Phi-3 and Phi-4 on the Hub."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    head = hidden // config["num_attention_heads"]
    rows = hidden + 2 * config["num_key_value_heads"] * head
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found[f"{prefix}.self_attn.qkv_proj.weight"] = Tensor((rows, hidden))
        found[f"{prefix}.self_attn.o_proj.weight"] = Tensor((hidden, hidden))
        found[f"{prefix}.mlp.gate_up_proj.weight"] = Tensor((2 * ffn, hidden))
        found[f"{prefix}.mlp.down_proj.weight"] = Tensor((hidden, ffn))
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
    return found


def experts(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of PhiMoE on the Hub."""
    hidden, heads, count = config["hidden_size"], config["num_attention_heads"], config["num_local_experts"]
    head, vocabulary = hidden // heads, config["vocab_size"]
    found = ends(vocabulary, hidden, around_one) | {"lm_head.bias": Tensor((vocabulary,))}
    found["model.norm.bias"] = Tensor((hidden,))
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        projections = attention(f"{prefix}.self_attn", hidden, heads, config["num_key_value_heads"], head)
        found |= projections
        found |= {f"{name[:-7]}.bias": Tensor(tensor.shape[:1]) for name, tensor in projections.items()}
        found |= _layer_norms(hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found[f"{prefix}.block_sparse_moe.gate.weight"] = Tensor((count, hidden))
        for expert in range(count):
            name = f"{prefix}.block_sparse_moe.experts.{expert}"
            found |= mlp(name, hidden, config["intermediate_size"], ("w1", "w3", "w2"))
    return found


SHORT = phi_3(256, 4, 4, 512)
LONG = phi_3(256, 4, 2, 256, **long(32), **numbers(MINI))
PHI_4_MINI = phi_3(
    256,
    4,
    2,
    512,
    **long(24),
    **numbers(SMALL_BPE),
    full_attn_mod=1,
    interpolate_factor=1,
    lm_head_bias=False,
    mlp_bias=False,
    partial_rotary_factor=0.75,
    tie_word_embeddings=True,
)
PHI_4 = phi_3(256, 4, 2, 512, sliding_window=None, rope_theta=250000, max_position_embeddings=16384, **numbers(CL100K))
ODD = phi_3(288, 4, 2, 160, **long(36), vocab_size=314)
MOE = {
    **LONG,
    "architectures": ["PhiMoEForCausalLM"],
    "attention_bias": True,
    "input_jitter_noise": 0.01,
    "lm_head_bias": True,
    "model_type": "phimoe",
    "num_experts_per_tok": 2,
    "num_local_experts": 4,
    "output_router_logits": False,
    "router_aux_loss_coef": 0.0,
    "router_jitter_noise": 0.01,
    "sliding_window": 131072,
}

CASES = (
    Case("Phi-2", PHI_2, phi_2(PHI_2), CODEGEN, dtype="float16"),
    Case("Phi-3-mini", SHORT, fused(SHORT), llama_sentencepiece(), shards=2, slow=True),
    Case("Phi-3-mini-long", LONG, fused(LONG), MINI),
    # Byte-level BPE; a part of each head is rotated.
    Case("Phi-4-mini", PHI_4_MINI, fused(PHI_4_MINI), SMALL_BPE, slow=True),
    Case("Phi-4", PHI_4, fused(PHI_4), CL100K, slow=True),
    Case("Phi-3-odd-rows", ODD, fused(ODD), llama_sentencepiece(), dtype="float16", slow=True),
    Case("PhiMoE", MOE, experts(MOE), MINI),
)
