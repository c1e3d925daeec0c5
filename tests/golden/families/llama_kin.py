"""Granite, SmolLM3, Arcee, Seed-OSS, Command R and Apertus: decoders close to Llama's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, biased, ends, linear, mlp, norms
from golden.families.vocabularies import llama_json, numbers, real
from golden.families.weights import around_one

BASE = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 8192,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 320,
}
GRANITES = real("granite-3.1-moe")
SMOL, AFM, SEED = relative("smollm3"), relative("arcee"), relative("seed-oss")
COMMAND_R, SWISS = relative("command-r"), relative("apertus")
MULTIPLIERS = {
    "attention_multiplier": 0.015625,
    "embedding_multiplier": 12.0,
    "logits_scaling": 6.0,
    "residual_multiplier": 0.22,
}
GRANITE = {
    **BASE,
    **MULTIPLIERS,
    **numbers(GRANITES),
    "architectures": ["GraniteForCausalLM"],
    "mlp_bias": False,
    "model_type": "granite",
    "tie_word_embeddings": True,
}
GRANITE_ODD = {
    **GRANITE,
    "attention_multiplier": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 72,
    "hidden_size": 288,
    "intermediate_size": 272,
    "tie_word_embeddings": False,
    "vocab_size": 314,
}
GRANITE_MOE = {
    **GRANITE,
    "architectures": ["GraniteMoeForCausalLM"],
    "intermediate_size": 256,
    "model_type": "granitemoe",
    "num_experts_per_tok": 2,
    "num_local_experts": 4,
    "output_router_logits": False,
    "router_aux_loss_coef": 0.0,
}
GRANITE_SHARED = {
    **GRANITE_MOE,
    "architectures": ["GraniteMoeSharedForCausalLM"],
    "model_type": "granitemoeshared",
    "shared_intermediate_size": 512,
}
SMOLLM3 = {
    **BASE,
    **numbers(SMOL),
    "architectures": ["SmolLM3ForCausalLM"],
    "layer_types": ["full_attention", "full_attention"],
    "max_window_layers": 28,
    "mlp_bias": False,
    "model_type": "smollm3",
    "no_rope_layer_interval": 4,
    "no_rope_layers": [1, 1],
    "pretraining_tp": 2,
    "rope_theta": 5000000.0,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
}
ARCEE = {
    **BASE,
    **numbers(AFM),
    "architectures": ["ArceeForCausalLM"],
    "head_dim": 64,
    "hidden_act": "relu2",
    "mlp_bias": False,
    "model_type": "arcee",
    "rope_scaling": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 20.0,
        "mscale": 1.0,
        "original_max_position_embeddings": 4096,
        "rope_type": "yarn",
        "type": "yarn",
    },
}
SEED_OSS = {
    **BASE,
    **numbers(SEED),
    "architectures": ["SeedOssForCausalLM"],
    "attention_bias": True,
    "attention_out_bias": False,
    "head_dim": 64,
    "mlp_bias": False,
    "model_type": "seed_oss",
    "residual_dropout": 0.1,
    "rope_scaling": {"rope_type": "default"},
}
COHERE = {
    **{key: value for key, value in BASE.items() if key != "rms_norm_eps"},
    **numbers(COMMAND_R),
    "architectures": ["CohereForCausalLM"],
    "layer_norm_eps": 1e-05,
    "logit_scale": 0.0625,
    "model_max_length": 131072,
    "model_type": "cohere",
    "rope_theta": 8000000.0,
    "tie_word_embeddings": True,
    "use_qk_norm": False,
}
COHERE_PLUS = {**COHERE, "use_qk_norm": True}
COHERE2 = {
    **{key: value for key, value in COHERE.items() if key not in ("model_max_length", "use_qk_norm")},
    "architectures": ["Cohere2ForCausalLM"],
    "head_dim": 64,
    "layer_switch": 4,
    "model_type": "cohere2",
    "order_of_interleaved_layers": "local_attn_first",
    "position_embedding_type": "rope_gptj",
    "rotary_pct": 1.0,
    "sliding_window": 4096,
    "sliding_window_pattern": 4,
    "use_embedding_sharing": True,
    "use_gated_activation": True,
    "use_parallel_block": True,
    "use_parallel_embedding": True,
}
APERTUS = {
    **BASE,
    **numbers(SWISS),
    "architectures": ["ApertusForCausalLM"],
    "hidden_act": "xielu",
    "mlp_bias": False,
    "model_type": "apertus",
    "post_norm": False,
    "qk_norm": True,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
        "type": "llama3",
    },
    "rope_theta": 12000000,
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, heads, kv_heads = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    kind, head, ffn = config["model_type"], hidden // heads, config["intermediate_size"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        projections = attention(attn, hidden, heads, kv_heads, head)
        if config.get("attention_bias"):
            for name in ("q_proj", "k_proj", "v_proj"):
                projections = biased(projections, f"{name}.weight")
        found |= projections
        names = ("input_layernorm",) if "cohere" in kind else ("input_layernorm", "post_attention_layernorm")
        names = ("attention_layernorm", "feedforward_layernorm") if kind == "apertus" else names
        found |= norms(around_one, hidden, *(f"{prefix}.{name}" for name in names))
        if experts := config.get("num_local_experts"):
            found |= linear(f"{prefix}.block_sparse_moe.router.layer", experts, hidden)
            found[f"{prefix}.block_sparse_moe.input_linear.weight"] = Tensor((experts, 2 * ffn, hidden))
            found[f"{prefix}.block_sparse_moe.output_linear.weight"] = Tensor((experts, hidden, ffn))
            if wide := config.get("shared_intermediate_size"):
                found |= linear(f"{prefix}.shared_mlp.input_linear", 2 * wide, hidden)
                found |= linear(f"{prefix}.shared_mlp.output_linear", hidden, wide)
        elif kind in ("arcee", "apertus"):
            found |= linear(f"{prefix}.mlp.up_proj", ffn, hidden) | linear(f"{prefix}.mlp.down_proj", hidden, ffn)
        else:
            found |= mlp(f"{prefix}.mlp", hidden, ffn)
        if kind == "apertus":
            found |= norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm")
            for number, shape in (("alpha_n", (1,)), ("alpha_p", (1,)), ("beta", ()), ("eps", ())):
                found[f"{prefix}.mlp.act_fn.{number}"] = Tensor(shape, around_one)
        if config.get("use_qk_norm"):
            found[f"{attn}.q_norm.weight"] = Tensor((heads, head), around_one)
            found[f"{attn}.k_norm.weight"] = Tensor((kv_heads, head), around_one)
    return found


IMAGES = {"layerwise_projectors.0.linear.weight": Tensor((32, 288))}

CASES = (
    Case("Granite-small", GRANITE, tensors(GRANITE), GRANITES),
    # Rows of 288 and 272; a head size, which the reference ignores; a multiplier of 0; a tensor to leave out.
    Case("Granite-odd-rows", GRANITE_ODD, tensors(GRANITE_ODD) | IMAGES, llama_json(), dtype="float16", slow=True),
    Case("Granite-MoE-small", GRANITE_MOE, tensors(GRANITE_MOE), GRANITES),
    Case("Granite-MoE-shared", GRANITE_SHARED, tensors(GRANITE_SHARED), GRANITES, slow=True),
    Case("SmolLM3-small", SMOLLM3, tensors(SMOLLM3), SMOL),
    Case("Arcee-small", ARCEE, tensors(ARCEE), AFM),
    Case("Seed-OSS-small", SEED_OSS, tensors(SEED_OSS), SEED),
    Case("Command-R-small", COHERE, tensors(COHERE), COMMAND_R),
    Case("Command-R-plus-small", COHERE_PLUS, tensors(COHERE_PLUS), COMMAND_R, dtype="float16", slow=True),
    Case("Command-R7B-small", COHERE2, tensors(COHERE2), COMMAND_R),
    Case("Apertus-small", APERTUS, tensors(APERTUS), SWISS),
)
