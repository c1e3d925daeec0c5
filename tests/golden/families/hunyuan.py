"""Hunyuan, dense: a base of rotation that is scaled, and one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import numbers
from golden.families.weights import around_one

VOCABULARY = relative("hunyuan-dense")
IDS = numbers(VOCABULARY)


def config(hidden: int, ffn: int, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of the Hub's."""
    return {
        "architectures": ["HunYuanDenseV1ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attention_head_dim": 64,
        "eod_token_id": IDS["eos_token_id"],
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": ffn,
        "max_position_embeddings": 32768,
        "mlp_bias": False,
        "model_type": "hunyuan_v1_dense",
        "norm_type": "rms",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {
            "alpha": 1000.0,
            "beta_fast": 32,
            "beta_slow": 1,
            "factor": 1.0,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "type": "dynamic",
        },
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "use_cache": True,
        "use_qk_norm": True,
        **IDS,
        **more,
    }


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, head = config["hidden_size"], config["head_dim"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        found |= attention(attn, hidden, config["num_attention_heads"], config["num_key_value_heads"], head)
        found |= norms(around_one, head, f"{attn}.query_layernorm", f"{attn}.key_layernorm")
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


PLAIN = config(256, 512)
UNTIED = config(288, 160, tie_word_embeddings=False, rope_scaling=None)

CASES = (
    Case("Hunyuan-dense", PLAIN, tensors(PLAIN), VOCABULARY),
    Case("Hunyuan-dense-untied", UNTIED, tensors(UNTIED), VOCABULARY, dtype="float16", shards=2, slow=True),
)
