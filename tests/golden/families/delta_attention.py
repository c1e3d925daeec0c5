"""Kimi Linear and GLM 5 Next: Kimi's delta attention in most layers, latent attention in the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from golden.families.case import Arrays, Case, Tensor
from golden.families.deepseek import latent_attention
from golden.families.glm import VOCABULARY as GLM
from golden.families.layouts import renamed
from golden.families.shapes import Tensors, ends, linear, mlp, norms
from golden.families.vocabularies import numbers, real, tokens
from golden.families.weights import around_one, around_zero, decay_logarithm

LINEAR = {
    "architectures": ["KimiLinearForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "head_dim": 72,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "kv_lora_rank": 256,
    "linear_attn_config": {
        "full_attn_layers": [2],
        "head_dim": 128,
        "kda_layers": [1, 3],
        "num_heads": 2,
        "short_conv_kernel_size": 4,
    },
    "mla_use_nope": True,
    "model_max_length": 1048576,
    "model_type": "kimi_linear",
    "moe_intermediate_size": 256,
    "moe_layer_freq": 1,
    "moe_renormalize": True,
    "moe_router_activation_func": "sigmoid",
    "num_attention_heads": 2,
    "num_expert_group": 1,
    "num_experts": 4,
    "num_experts_per_token": 2,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "num_nextn_predict_layers": 0,
    "num_shared_experts": 1,
    "pad_token_id": 2,
    "q_lora_rank": None,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "routed_scaling_factor": 2.446,
    "tie_word_embeddings": False,
    "topk_group": 1,
    "use_cache": True,
    "use_grouped_topk": True,
    "v_head_dim": 128,
    "vocab_size": 2019,
}
LINEAR_ODD = {**LINEAR, "hidden_size": 320, "moe_intermediate_size": 96}
NEXT = {
    "architectures": ["Glm5NextForConditionalGeneration"],
    "image_token_id": 300,
    "model_type": "glm5_next",
    "text_config": {
        "attention_bias": False,
        "eos_token_id": [tokens(GLM)[token] for token in ("<|endoftext|>", "<|user|>", "<|observation|>")],
        "first_k_dense_replace": 1,
        "hc_eps": 1e-06,
        "hc_mult": 4,
        "hc_sinkhorn_iters": 20,
        "hidden_act": "silu",
        "hidden_size": 256,
        "index_head_dim": 128,
        "index_kpool": 16,
        "index_kpool_always_select_tail": True,
        "index_n_heads": 2,
        "index_topk": 2048,
        "indexer_types": ["full", "full", "shared"],
        "intermediate_size": 512,
        "kv_lora_rank": 256,
        "layer_types": ["linear_attention", "indexed_attention", "indexed_attention"],
        "linear_attn_config": {
            "gate_lower_bound": -5.0,
            "head_dim": 128,
            "num_heads": 2,
            "short_conv_kernel_size": 4,
        },
        "max_position_embeddings": 1048576,
        "mhc": True,
        "mla_use_nope": True,
        "mlp_layer_types": ["dense", "sparse", "sparse"],
        "model_type": "glm5_next_text",
        "moe_intermediate_size": 256,
        "n_group": 1,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "norm_topk_prob": True,
        "num_attention_heads": 2,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "num_nextn_predict_layers": 1,
        "pad_token_id": tokens(GLM)["<|endoftext|>"],
        "q_lora_rank": 256,
        "qk_nope_head_dim": 256,
        "qk_rope_head_dim": 0,
        "rms_norm_eps": 1e-05,
        "routed_scaling_factor": 2.5,
        "scoring_func": "sigmoid",
        "swiglu_limit": 10.0,
        "tie_word_embeddings": False,
        "topk_group": 1,
        "topk_method": "noaux_tc",
        "v_head_dim": 256,
        "vocab_size": numbers(GLM)["vocab_size"],
    },
    "tie_word_embeddings": False,
    "vision_config": {"hidden_size": 32, "model_type": "glm5_next_vision"},
}
NO_MTP = {**NEXT, "text_config": {**cast("dict[str, Any]", NEXT["text_config"]), "num_nextn_predict_layers": 0}}


def delta_attention(prefix: str, config: Mapping[str, Any], decay: tuple[int, ...]) -> Tensors:
    """Return a layer's delta attention; `decay` is the shape of its decay."""
    hidden, own = config["hidden_size"], config["linear_attn_config"]
    heads, head, kernel = own["num_heads"], own["head_dim"], own["short_conv_kernel_size"]
    inner = heads * head
    found = {f"{prefix}.o_proj.weight": Tensor((hidden, inner)), **linear(f"{prefix}.b_proj", heads, hidden)}
    for kind in "qkv":
        found |= linear(f"{prefix}.{kind}_proj", inner, hidden)
        found[f"{prefix}.{kind}_conv1d.weight"] = Tensor((inner, 1, kernel))
    for kind in "fg":
        found |= linear(f"{prefix}.{kind}_a_proj", head, hidden) | linear(f"{prefix}.{kind}_b_proj", inner, head)
    found[f"{prefix}.A_log"] = Tensor(decay, decay_logarithm, "float32")
    found[f"{prefix}.dt_bias"] = Tensor((inner,), around_one, "float32")
    return found | norms(around_one, head, f"{prefix}.o_norm")


def kimi(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of Kimi Linear on the Hub."""
    hidden, ffn = config["hidden_size"], config["moe_intermediate_size"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        full = layer + 1 in config["linear_attn_config"]["full_attn_layers"]
        decay = (1, 1, config["num_attention_heads"], 1)
        attn = f"{prefix}.self_attn"
        found |= latent_attention(attn, config) if full else delta_attention(attn, config, decay)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        if layer < config["first_k_dense_replace"]:
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
            continue
        block = f"{prefix}.block_sparse_moe"
        found |= linear(f"{block}.gate", config["num_experts"], hidden)
        found[f"{block}.gate.e_score_correction_bias"] = Tensor((config["num_experts"],), dtype="float32")
        found |= mlp(f"{block}.shared_experts", hidden, ffn)
        for expert in range(config["num_experts"]):
            found |= mlp(f"{block}.experts.{expert}", hidden, ffn, ("w1", "w3", "w2"))
    return found


def indexer(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return an indexer of pooled keys."""
    hidden, heads, head = config["hidden_size"], config["index_n_heads"], config["index_head_dim"]
    return {
        **norms(around_one, head, f"{prefix}.k_norm"),
        f"{prefix}.k_norm.bias": Tensor((head,), around_zero),
        **linear(f"{prefix}.weights_proj", heads, hidden),
        **linear(f"{prefix}.wk", head, hidden),
        **linear(f"{prefix}.wq_b", heads * head, config["q_lora_rank"]),
        f"{prefix}.index_kpool_compress_ape": Tensor((config["index_kpool"], head)),
        f"{prefix}.index_kpool_compress_gate": Tensor((head, hidden)),
    }


def glm_next(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of GLM 5 Next."""
    hidden, ffn, layers = config["hidden_size"], config["moe_intermediate_size"], config["num_hidden_layers"]
    streams = config["hc_mult"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(layers + config["num_nextn_predict_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        if layer < layers and config["layer_types"][layer] == "linear_attention":
            found |= delta_attention(attn, config, (config["num_attention_heads"],))
        else:
            found |= latent_attention(attn, config)
            if layer >= layers or config["indexer_types"][layer] == "full":
                found |= indexer(f"{attn}.indexer", config)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        if layer < layers:
            for half in ("attn", "ffn"):
                mixes = (2 + streams) * streams
                found[f"{prefix}.hc_{half}_fn"] = Tensor((mixes, streams * hidden), dtype="float32")
                found[f"{prefix}.hc_{half}_base"] = Tensor((mixes,), dtype="float32")
                found[f"{prefix}.hc_{half}_scale"] = Tensor((3,), dtype="float32")
        else:
            found |= linear(f"{prefix}.eh_proj", hidden, 2 * hidden)
            found |= norms(around_one, hidden, *(f"{prefix}.{name}" for name in ("enorm", "hnorm", "shared_head.norm")))
        if layer < config["first_k_dense_replace"]:
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
            continue
        found |= linear(f"{prefix}.mlp.gate", config["n_routed_experts"], hidden)
        found[f"{prefix}.mlp.gate.e_score_correction_bias"] = Tensor((config["n_routed_experts"],), dtype="float32")
        found |= mlp(f"{prefix}.mlp.shared_experts", hidden, ffn)
        for expert in range(config["n_routed_experts"]):
            found |= mlp(f"{prefix}.mlp.experts.{expert}", hidden, ffn)
    return found


def flat_convolutions(tensors: Arrays) -> Arrays:
    """Store convolutions as matrices."""
    return {name: values[:, 0] if "conv1d" in name else values for name, values in tensors.items()}


IMAGES = {"model.visual.blocks.0.attn.qkv.weight": Tensor((32, 32))}
INSIDE = renamed(("model.visual", "model.visual"), ("model.", "model.language_model."))
CUT = real("deepseek_v3")

CASES = (
    Case("Kimi-Linear", LINEAR, kimi(LINEAR), CUT, shards=2),
    Case(
        "Kimi-Linear-odd-rows", LINEAR_ODD, kimi(LINEAR_ODD), CUT, dtype="float16", layout=flat_convolutions, slow=True
    ),
    Case("GLM-5-Next", NEXT, glm_next(NEXT["text_config"]) | IMAGES, GLM, layout=INSIDE),
    Case("GLM-5-Next-without-MTP", NO_MTP, glm_next(NO_MTP["text_config"]), GLM, dtype="float16", slow=True),
)
