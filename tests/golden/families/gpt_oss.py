"""gpt-oss: experts in MXFP4 as on the Hub, and a fine-tune of it in 16 bits, whose experts are transposed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, attention, ends, norms
from golden.families.vocabularies import numbers, real
from golden.families.weights import Array, around_one

VOCABULARY = real("gptoss")


def config(layers: int, hidden: int, ffn: int, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of the Hub's."""
    return {
        **{key: value for key, value in numbers(VOCABULARY).items() if key != "bos_token_id"},
        "architectures": ["GptOssForCausalLM"],
        "attention_bias": True,
        "attention_dropout": 0.0,
        "experts_per_token": 2,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initial_context_length": 4096,
        "initializer_range": 0.02,
        "intermediate_size": ffn,
        "layer_types": [("sliding_attention", "full_attention")[layer % 2] for layer in range(layers)],
        "max_position_embeddings": 131072,
        "model_type": "gpt_oss",
        "num_attention_heads": 4,
        "num_experts_per_tok": 2,
        "num_hidden_layers": layers,
        "num_key_value_heads": 2,
        "num_local_experts": 4,
        "output_router_logits": False,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "factor": 32.0,
            "original_max_position_embeddings": 4096,
            "rope_type": "yarn",
            "truncate": False,
        },
        "rope_theta": 150000,
        "router_aux_loss_coef": 0.9,
        "sliding_window": 128,
        "swiglu_limit": 7.0,
        "tie_word_embeddings": False,
        "use_cache": True,
        **more,
    }


QUANTIZATION = {
    "modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
    "quant_method": "mxfp4",
}


def codes(key: str, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw bytes of two 4-bit codes."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    count = int(np.prod(shape))
    return np.random.PCG64(seed).random_raw(-(-count // 8)).view(np.uint8)[:count].reshape(shape)


def exponents(key: str, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw biased exponents from 118 to 121, as those of weights near 0.02."""
    return codes(key, shape, dtype) % 4 + 118


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout; `quantization_config` tells how experts are stored."""
    hidden, ffn, experts = config["hidden_size"], config["intermediate_size"], config["num_local_experts"]
    heads, kv_heads, head = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn, mlp = f"{prefix}.self_attn", f"{prefix}.mlp"
        found |= attention(attn, hidden, heads, kv_heads, head)
        found |= {f"{attn}.{kind}_proj.bias": Tensor((kv_heads * head,)) for kind in "kv"}
        found |= {f"{attn}.q_proj.bias": Tensor((heads * head,)), f"{attn}.o_proj.bias": Tensor((hidden,))}
        found |= {f"{attn}.sinks": Tensor((heads,))}
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= {f"{mlp}.router.weight": Tensor((experts, hidden)), f"{mlp}.router.bias": Tensor((experts,))}
        for name, rows, columns in (("gate_up_proj", 2 * ffn, hidden), ("down_proj", hidden, ffn)):
            found[f"{mlp}.experts.{name}_bias"] = Tensor((experts, rows))
            if "quantization_config" in config:
                found[f"{mlp}.experts.{name}_blocks"] = Tensor((experts, rows, columns // 32, 16), codes, "uint8")
                found[f"{mlp}.experts.{name}_scales"] = Tensor((experts, rows, columns // 32), exponents, "uint8")
            else:
                found[f"{mlp}.experts.{name}"] = Tensor((experts, columns, rows))
    return found


PACKED = config(layers=2, hidden=256, ffn=256, quantization_config=QUANTIZATION)
ODD = config(layers=1, hidden=288, ffn=96, quantization_config=QUANTIZATION)
TUNED = config(layers=2, hidden=256, ffn=256)
ODD_TUNED = config(layers=1, hidden=288, ffn=96)

CASES = (
    Case("gpt-oss-small", PACKED, tensors(PACKED), VOCABULARY, requantize=True, further=("MXFP4_MOE",)),
    Case("gpt-oss-odd-rows", ODD, tensors(ODD), VOCABULARY, requantize=True, further=("MXFP4_MOE",), slow=True),
    Case("gpt-oss-fine-tune", TUNED, tensors(TUNED), VOCABULARY, further=("MXFP4_MOE",), slow=True),
    Case("gpt-oss-fine-tune-odd-rows", ODD_TUNED, tensors(ODD_TUNED), VOCABULARY, dtype="float16", slow=True),
)
