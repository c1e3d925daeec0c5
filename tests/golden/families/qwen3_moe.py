"""Qwen3-MoE: grouped-query attention with norms of q and k, and experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor, Vocabulary
from golden.families.layouts import stacked
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import real
from golden.families.weights import around_one


def config(experts: int, layers: int, hidden: int, ffn: int, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of the Hub's."""
    return {
        "architectures": ["Qwen3MoeForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 2000,
        "decoder_sparse_step": 1,
        "eos_token_id": 2002,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": 3 * ffn,
        "max_position_embeddings": 2048,
        "max_window_layers": layers,
        "mlp_only_layers": [],
        "model_type": "qwen3_moe",
        "moe_intermediate_size": ffn,
        "norm_topk_prob": True,
        "num_attention_heads": 4,
        "num_experts": experts,
        "num_experts_per_tok": 2,
        "num_hidden_layers": layers,
        "num_key_value_heads": 2,
        "output_router_logits": False,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000.0,
        "router_aux_loss_coef": 0.001,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": 2048,
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
        found |= norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm")
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found[f"{prefix}.mlp.gate.weight"] = Tensor((config["num_experts"], hidden))
        for expert in range(config["num_experts"]):
            found |= mlp(f"{prefix}.mlp.experts.{expert}", hidden, config["moe_intermediate_size"])
    return found


PLAIN = config(experts=6, layers=2, hidden=256, ffn=256)
ODD = config(experts=4, layers=2, hidden=320, ffn=96, tie_word_embeddings=True)
REAL = config(
    experts=2, layers=1, hidden=32, ffn=32, vocab_size=151936, bos_token_id=151643, eos_token_id=151645, head_dim=32
)
CUT = real("qwen3")

CASES = (
    Case("Qwen3-MoE-single", PLAIN, tensors(PLAIN), CUT, shards=2),
    Case("Qwen3-MoE-stacked", PLAIN, tensors(PLAIN), CUT, layout=stacked, weights_of="Qwen3-MoE-single"),
    # Rows of 320 and of 96; no head.
    Case("Qwen3-MoE-odd-rows", ODD, tensors(ODD), CUT, dtype="float16"),
    Case("Qwen3-MoE-real-tokenizer", REAL, tensors(REAL), Vocabulary(shared="qwen3"), slow=True),
)
