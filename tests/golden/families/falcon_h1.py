"""Falcon-H1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, ends, linear, mlp, norms
from golden.families.vocabularies import numbers
from golden.families.weights import around_one, decay_logarithm

VOCABULARY = relative("falcon-h1")

SMALL = {
    **numbers(VOCABULARY),
    "architectures": ["FalconH1ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attention_in_multiplier": 1.0625,
    "attention_out_multiplier": 0.9375,
    "attn_layer_indices": None,
    "embedding_multiplier": 5.656854249492381,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "key_multiplier": 0.39062499999999994,
    "lm_head_multiplier": 0.0390625,
    "mamba_chunk_size": 128,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_head": 32,
    "mamba_d_ssm": 384,
    "mamba_d_state": 64,
    "mamba_expand": 2,
    "mamba_n_groups": 1,
    "mamba_n_heads": 12,
    "mamba_norm_before_gate": False,
    "mamba_proj_bias": False,
    "mamba_rms_norm": False,
    "mamba_use_mlp": True,
    "max_position_embeddings": 16384,
    "mlp_bias": False,
    "mlp_expansion_factor": 8,
    "mlp_multipliers": [0.8838834764831844, 0.5859375],
    "model_type": "falcon_h1",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_logits_to_keep": 1,
    "projectors_bias": False,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 100000000000.0,
    "ssm_in_multiplier": 1.25,
    "ssm_multipliers": [0.3535533905932738, 0.25, 0.3535533905932738, 0.5, 0.3535533905932738],
    "ssm_out_multiplier": 0.23570226039551587,
    "tie_word_embeddings": False,
    "use_cache": True,
}
LARGE = {**SMALL, "mamba_n_groups": 2, "mamba_rms_norm": True, "tie_word_embeddings": True}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, inner, heads = config["hidden_size"], config["mamba_d_ssm"], config["mamba_n_heads"]
    wide = inner + 2 * config["mamba_n_groups"] * config["mamba_d_state"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    found["model.final_layernorm.weight"] = found.pop("model.norm.weight")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= attention(f"{prefix}.self_attn", hidden, 4, 2, 64)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.pre_ff_layernorm")
        found |= mlp(f"{prefix}.feed_forward", hidden, config["intermediate_size"])
        mamba = f"{prefix}.mamba"
        found |= linear(f"{mamba}.in_proj", inner + wide + heads, hidden) | linear(f"{mamba}.out_proj", hidden, inner)
        found |= {
            f"{mamba}.A_log": Tensor((heads,), decay_logarithm),
            f"{mamba}.D": Tensor((heads,), around_one),
            f"{mamba}.dt_bias": Tensor((heads,)),
            f"{mamba}.conv1d.weight": Tensor((wide, 1, 4)),
            f"{mamba}.conv1d.bias": Tensor((wide,)),
        }
        if config["mamba_rms_norm"]:
            found |= norms(around_one, inner, f"{mamba}.norm")
    return found


CASES = (
    Case("Falcon-H1-small", SMALL, tensors(SMALL), VOCABULARY),
    Case("Falcon-H1-groups", LARGE, tensors(LARGE), VOCABULARY, dtype="float16", slow=True),
)
