"""Qwen3-Next: Qwen 3.5's layers with experts, whose linear attention interleaves its projections by key head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families import qwen3_5
from golden.families.case import Case, Tensor
from golden.families.layouts import stacked
from golden.families.shapes import Tensors
from golden.families.vocabularies import real, tokens

CUT = real("qwen3")
SMALL = {
    "architectures": ["Qwen3NextForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": tokens(CUT)["<|endoftext|>"],
    "decoder_sparse_step": 1,
    "eos_token_id": tokens(CUT)["<|im_end|>"],
    "full_attention_interval": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 64,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_value_head_dim": 64,
    "max_position_embeddings": 262144,
    "mlp_only_layers": [],
    "model_type": "qwen3_next",
    "moe_intermediate_size": 256,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "output_router_logits": False,
    "partial_rotary_factor": 0.25,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000000,
    "router_aux_loss_coef": 0.001,
    "shared_expert_intermediate_size": 256,
    "tie_word_embeddings": False,
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 2048,
}


def interleaved(found: Tensors, config: Mapping[str, Any]) -> Tensors:
    """Return Qwen 3.5's tensors with the linear attention's projections joined as Qwen3-Next has them."""
    hidden, values = config["hidden_size"], config["linear_num_value_heads"]
    keys = config["linear_num_key_heads"] * config["linear_key_head_dim"]
    joined = {}
    for name, tensor in found.items():
        prefix, dot, last = name.partition(".linear_attn.in_proj_")
        if last == "qkv.weight":
            rows = 2 * keys + 2 * values * config["linear_value_head_dim"]
            joined[f"{prefix}{dot}qkvz.weight"] = Tensor((rows, hidden))
        elif last == "b.weight":
            joined[f"{prefix}{dot}ba.weight"] = Tensor((2 * values, hidden))
        elif not last:
            joined[name] = tensor
    return joined


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout, without those of the MTP layer."""
    return interleaved(qwen3_5.tensors({**config, "mamba_ssm_dtype": None}), config)


def mtp(config: Mapping[str, Any]) -> Tensors:
    """Return the MTP layer, of which config.json does not tell."""
    return qwen3_5.mtp({**config, "mamba_ssm_dtype": None})


#: As transformers 5 writes it: kinds of layers, and rope's parameters in a dictionary. One key head; rows of 320.
ODD = {
    **SMALL,
    "hidden_size": 320,
    "full_attention_interval": 4,
    "layer_types": ["full_attention", "linear_attention"],
    "linear_key_head_dim": 32,
    "linear_num_key_heads": 1,
    "linear_num_value_heads": 3,
    "linear_value_head_dim": 32,
    "moe_intermediate_size": 288,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rope_parameters": {"partial_rotary_factor": 0.5, "rope_theta": 5000000, "rope_type": "default"},
    "tie_word_embeddings": True,
}
for _key in ("bos_token_id", "partial_rotary_factor", "rope_scaling", "rope_theta"):
    del ODD[_key]

CASES = (
    Case("Qwen3-Next-small", SMALL, tensors(SMALL) | mtp(SMALL), CUT, shards=2),
    # Without the option the reference refuses a model without an MTP layer; float16, stacked experts.
    Case(
        "Qwen3-Next-odd-rows",
        ODD,
        tensors(ODD),
        CUT,
        dtype="float16",
        layout=stacked,
        options=("--no-mtp",),
        slow=True,
    ),
)
