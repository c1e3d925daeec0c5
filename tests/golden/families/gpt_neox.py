"""GPT-NeoX and Pythia."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, biased, linear, norms
from golden.families.vocabularies import numbers, real
from golden.families.weights import around_one

VOCABULARY = real("pythia-410m")

SMALL = {
    **{key: value for key, value in numbers(VOCABULARY).items() if key != "pad_token_id"},
    "architectures": ["GPTNeoXForCausalLM"],
    "classifier_dropout": 0.1,
    "hidden_act": "gelu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 1024,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "model_type": "gpt_neox",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "use_cache": True,
    "use_parallel_residual": True,
}
SERIAL = {**SMALL, "rotary_pct": 1.0, "use_parallel_residual": False}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout, buffers included."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    found = {
        **linear("gpt_neox.embed_in", config["vocab_size"], hidden),
        **biased(norms(around_one, hidden, "gpt_neox.final_layer_norm")),
        **linear("embed_out", config["vocab_size"], hidden),
    }
    for layer in range(config["num_hidden_layers"]):
        prefix = f"gpt_neox.layers.{layer}"
        found |= biased(
            norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
            | linear(f"{prefix}.attention.query_key_value", 3 * hidden, hidden)
            | linear(f"{prefix}.attention.dense", hidden, hidden)
            | linear(f"{prefix}.mlp.dense_h_to_4h", ffn, hidden)
            | linear(f"{prefix}.mlp.dense_4h_to_h", hidden, ffn)
        )
        found[f"{prefix}.attention.bias"] = Tensor((1, 1, 32, 32))
        found[f"{prefix}.attention.rotary_emb.inv_freq"] = Tensor((8,))
    return found


CASES = (
    # transformers 5 loses rotary_pct, which the reference needs.
    Case("Pythia-small", SMALL, tensors(SMALL), VOCABULARY, dtype="float16", raw_config=True),
    Case("GPT-NeoX-serial", SERIAL, tensors(SERIAL), VOCABULARY, raw_config=True, slow=True),
)
