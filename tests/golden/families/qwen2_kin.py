"""Tensors of the decoders that have Qwen 2's and Qwen 3's attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from golden.families.case import Tensor
from golden.families.shapes import Tensors, attention, mlp, norms
from golden.families.weights import around_one

#: A feed-forward network's tensors, of a prefix and config.json.
FeedForward = Callable[[str, Mapping[str, Any]], Tensors]
NORMS = "input_layernorm", "post_attention_layernorm"


def dense(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return a feed-forward network without experts."""
    return mlp(prefix, config["hidden_size"], config["intermediate_size"])


def decoder(
    config: Mapping[str, Any],
    feed_forward: FeedForward = dense,
    normed: bool = False,
    biased: bool = True,
    layer_norms: tuple[str, str] = NORMS,
) -> Tensors:
    """Return the layers, with norms of queries and keys (Qwen 3), or with biases (Qwen 2)."""
    hidden, heads, kv_heads = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim", hidden // heads)
    found: Tensors = {}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        found |= attention(attn, hidden, heads, kv_heads, head)
        if normed:
            found |= norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm")
        elif biased:
            for name, rows in {"q": heads, "k": kv_heads, "v": kv_heads}.items():
                found[f"{attn}.{name}_proj.bias"] = Tensor((rows * head,))
        found |= norms(around_one, hidden, *(f"{prefix}.{name}" for name in layer_norms))
        found |= feed_forward(f"{prefix}.mlp", config)
    return found
