"""StableLM 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, biased, ends, mlp, norms
from golden.families.vocabularies import numbers
from golden.families.weights import around_one

VOCABULARY = relative("stablelm2")

SMALL = {
    **{key: value for key, value in numbers(VOCABULARY).items() if key != "pad_token_id"},
    "architectures": ["StableLmForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 4096,
    "model_type": "stablelm",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "partial_rotary_factor": 0.25,
    "rope_theta": 10000,
    "tie_word_embeddings": False,
    "use_cache": True,
    "use_qkv_bias": True,
}
LARGE = {
    **SMALL,
    "num_key_value_heads": 2,
    "qk_layernorm": True,
    "use_parallel_residual": True,
    "use_qkv_bias": False,
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, large = config["hidden_size"], config.get("qk_layernorm", False)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    found = biased(ends(config["vocab_size"], hidden, around_one), "norm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        projections = attention(attn, hidden, heads, kv_heads, 64)
        if not large:
            for kind in "qkv":
                projections = biased(projections, f".{kind}_proj.weight")
        found |= projections | mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
        names = ("input_layernorm",) if large else ("input_layernorm", "post_attention_layernorm")
        found |= biased(norms(around_one, hidden, *(f"{prefix}.{name}" for name in names)))
        if large:
            for kind, count in (("q", heads), ("k", kv_heads)):
                found |= norms(around_one, 64, *(f"{attn}.{kind}_layernorm.norms.{number}" for number in range(count)))
    return found


CASES = (Case("StableLM-2-small", SMALL, tensors(SMALL), VOCABULARY),)
#: The reference loses the norms of single heads, so there is no record of it.
LARGE_CASE = Case("StableLM-2-12b-small", LARGE, tensors(LARGE), VOCABULARY)
