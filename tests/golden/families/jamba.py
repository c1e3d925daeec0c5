"""Jamba: selective state spaces in most layers, attention in the others, and experts in every second layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, attention, ends, linear, mlp, norms
from golden.families.vocabularies import llama_json, llama_sentencepiece
from golden.families.weights import around_one, decay_logarithm

SMALL = {
    "architectures": ["JambaForCausalLM"],
    "attention_dropout": 0.0,
    "attn_layer_offset": 1,
    "attn_layer_period": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "expert_layer_offset": 1,
    "expert_layer_period": 2,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_state": 16,
    "mamba_dt_rank": 32,
    "mamba_expand": 2,
    "mamba_proj_bias": False,
    "max_position_embeddings": 262144,
    "model_type": "jamba",
    "num_attention_heads": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 320,
}
ODD = {
    **SMALL,
    "hidden_size": 320,
    "intermediate_size": 160,
    "mamba_dt_rank": 20,
    "tie_word_embeddings": True,
    "vocab_size": 314,
}


def mamba(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return a selective state space with norms of what its steps depend on."""
    hidden, state, rank = config["hidden_size"], config["mamba_d_state"], config["mamba_dt_rank"]
    inner = config["mamba_expand"] * hidden
    return {
        f"{prefix}.A_log": Tensor((inner, state), decay_logarithm),
        f"{prefix}.D": Tensor((inner,), around_one),
        f"{prefix}.conv1d.weight": Tensor((inner, 1, config["mamba_d_conv"])),
        f"{prefix}.conv1d.bias": Tensor((inner,)),
        f"{prefix}.dt_proj.bias": Tensor((inner,)),
        **linear(f"{prefix}.dt_proj", inner, rank),
        **linear(f"{prefix}.in_proj", 2 * inner, hidden),
        **linear(f"{prefix}.out_proj", hidden, inner),
        **linear(f"{prefix}.x_proj", rank + 2 * state, inner),
        **norms(around_one, state, f"{prefix}.b_layernorm", f"{prefix}.c_layernorm"),
        **norms(around_one, rank, f"{prefix}.dt_layernorm"),
    }


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, heads, ffn = config["hidden_size"], config["num_attention_heads"], config["intermediate_size"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    del found["model.norm.weight"]
    found |= norms(around_one, hidden, "model.final_layernorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        if layer % config["attn_layer_period"] == config["attn_layer_offset"]:
            found |= attention(f"{prefix}.self_attn", hidden, heads, config["num_key_value_heads"], hidden // heads)
        else:
            found |= mamba(f"{prefix}.mamba", config)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.pre_ff_layernorm")
        if layer % config["expert_layer_period"] != config["expert_layer_offset"]:
            found |= mlp(f"{prefix}.feed_forward", hidden, ffn)
            continue
        found |= linear(f"{prefix}.feed_forward.router", config["num_experts"], hidden)
        for expert in range(config["num_experts"]):
            found |= mlp(f"{prefix}.feed_forward.experts.{expert}", hidden, ffn)
    return found


CASES = (
    Case("Jamba-small", SMALL, tensors(SMALL), llama_sentencepiece()),
    Case("Jamba-odd-rows", ODD, tensors(ODD), llama_json(), dtype="float16", shards=2, slow=True),
)
