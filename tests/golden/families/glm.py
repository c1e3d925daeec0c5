"""GLM 4 (also within GLM-4.1V), and GLM 4.5 to 4.7 with experts and an MTP layer (also within GLM-4.5V)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.layouts import renamed
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, biased, ends, linear, mlp, norms
from golden.families.vocabularies import numbers, tokens
from golden.families.weights import around_one

VOCABULARY = relative("glm4")
IDS = tokens(VOCABULARY)
ENDS = [IDS[token] for token in ("<|endoftext|>", "<|user|>", "<|observation|>")]

GLM4 = {
    "architectures": ["Glm4ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "eos_token_id": ENDS,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 32768,
    "model_type": "glm4",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "pad_token_id": ENDS[0],
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": numbers(VOCABULARY)["vocab_size"],
}
#: GLM-4.1V: queries and keys have biases, and their rows are rearranged for llama.cpp's rope of images.
GLM4V = {
    "architectures": ["Glm4vForConditionalGeneration"],
    "image_token_id": IDS["<|image|>"],
    "model_type": "glm4v",
    "text_config": {
        **{name: value for name, value in GLM4.items() if name not in ("architectures", "head_dim")},
        "attention_bias": True,
        "hidden_size": 288,
        "intermediate_size": 272,
        "model_type": "glm4v_text",
        "num_attention_heads": 6,
        "rope_scaling": {"mrope_section": [4, 4, 4], "type": "default"},
    },
    "tie_word_embeddings": False,
    "vision_config": {"depth": 1, "hidden_size": 32, "model_type": "glm4v"},
}
MOE = {
    "architectures": ["Glm4MoeForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "eos_token_id": ENDS,
    "first_k_dense_replace": 1,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 131072,
    "model_type": "glm4_moe",
    "moe_intermediate_size": 256,
    "n_group": 1,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_nextn_predict_layers": 1,
    "pad_token_id": ENDS[0],
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "routed_scaling_factor": 1.0,
    "tie_word_embeddings": False,
    "topk_group": 1,
    "use_cache": True,
    "use_qk_norm": False,
    "vocab_size": numbers(VOCABULARY)["vocab_size"],
}
#: GLM 4.6: norms of queries and keys; saved by transformers, so without the tensors of the MTP layer.
SAVED = {**MOE, "head_dim": 72, "hidden_size": 320, "moe_intermediate_size": 96, "use_qk_norm": True}
#: GLM-4.5V, which does not have an MTP layer.
MOE_V = {
    "architectures": ["Glm4vMoeForConditionalGeneration"],
    "image_token_id": IDS["<|image|>"],
    "model_type": "glm4v_moe",
    "text_config": {
        **{name: value for name, value in MOE.items() if name not in ("architectures", "num_nextn_predict_layers")},
        "model_type": "glm4v_moe_text",
        "rope_scaling": {"mrope_section": [8, 4, 4], "rope_type": "default"},
    },
    "tie_word_embeddings": False,
    "vision_config": {"depth": 1, "hidden_size": 32, "model_type": "glm4v_moe"},
}
IMAGES = {"model.visual.blocks.0.attn.proj.weight": Tensor((32, 32))}


def _attention(prefix: str, config: Mapping[str, Any]) -> Tensors:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head = config.get("head_dim", hidden // heads)
    found = attention(f"{prefix}.self_attn", hidden, heads, config["num_key_value_heads"], head)
    if config["attention_bias"]:
        output = found.pop(f"{prefix}.self_attn.o_proj.weight")
        found = {**biased(found), f"{prefix}.self_attn.o_proj.weight": output}
    if config.get("use_qk_norm"):
        found |= norms(around_one, head, f"{prefix}.self_attn.q_norm", f"{prefix}.self_attn.k_norm")
    return found


def dense(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of GLM 4."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    for number in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{number}"
        kinds = ("input", "post_attention", "post_self_attn", "post_mlp")
        found |= norms(around_one, hidden, *(f"{prefix}.{kind}_layernorm" for kind in kinds))
        found |= _attention(prefix, config)
        found |= linear(f"{prefix}.mlp.gate_up_proj", 2 * ffn, hidden) | linear(f"{prefix}.mlp.down_proj", hidden, ffn)
    return found


def _sparse_layer(number: int, config: Mapping[str, Any]) -> Tensors:
    prefix, hidden, ffn = f"model.layers.{number}", config["hidden_size"], config["moe_intermediate_size"]
    found = norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
    found |= _attention(prefix, config)
    if number < config["first_k_dense_replace"]:
        return found | mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    count = config["n_routed_experts"]
    found |= linear(f"{prefix}.mlp.gate", count, hidden)
    found[f"{prefix}.mlp.gate.e_score_correction_bias"] = Tensor((count,), dtype="float32")
    for expert in range(count):
        found |= mlp(f"{prefix}.mlp.experts.{expert}", hidden, ffn)
    return found | mlp(f"{prefix}.mlp.shared_experts", hidden, ffn * config["n_shared_experts"])


def sparse(config: Mapping[str, Any], mtp: bool = True) -> Tensors:
    """Return the tensors of GLM 4.5; those of the MTP layer on demand."""
    hidden, layers, vocabulary = config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]
    found = ends(vocabulary, hidden, around_one, config["tie_word_embeddings"])
    for number in range(layers):
        found |= _sparse_layer(number, config)
    for number in range(layers, layers + (config.get("num_nextn_predict_layers", 0) if mtp else 0)):
        prefix = f"model.layers.{number}"
        found |= _sparse_layer(number, config)
        found |= norms(around_one, hidden, *(f"{prefix}.{name}" for name in ("enorm", "hnorm", "shared_head.norm")))
        found |= linear(f"{prefix}.eh_proj", hidden, 2 * hidden)
        found |= linear(f"{prefix}.embed_tokens", vocabulary, hidden)
        found |= linear(f"{prefix}.shared_head.head", vocabulary, hidden)
    return found


WRAPPED = renamed(("model.visual.", "model.visual."), ("model.", "model.language_model."))

CASES = (
    Case("GLM-4-small", GLM4, dense(GLM4), VOCABULARY),
    # Rows of 288 and 272, heads of 48.
    Case("GLM-4.1V", GLM4V, dense(GLM4V["text_config"]) | IMAGES, VOCABULARY, dtype="float16", layout=WRAPPED),
    Case("GLM-4.5-small", MOE, sparse(MOE), VOCABULARY, shards=2),
    Case("GLM-4.6-saved", SAVED, sparse(SAVED, mtp=False), VOCABULARY, dtype="float16", slow=True),
    Case("GLM-4.5V", MOE_V, sparse(MOE_V["text_config"]) | IMAGES, VOCABULARY, layout=WRAPPED, slow=True),
)
