"""InternLM 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, linear, norms
from golden.families.tokenizer_json import added
from golden.families.vocabularies import LLAMA_SPECIALS, decoder_of, llama_real, llama_sentencepiece
from golden.families.weights import around_one

SMALL = {
    "architectures": ["InternLM2ForCausalLM"],
    "attn_implementation": "eager",
    "auto_map": {
        "AutoConfig": "configuration_internlm2.InternLM2Config",
        "AutoModel": "modeling_internlm2.InternLM2ForCausalLM",
        "AutoModelForCausalLM": "modeling_internlm2.InternLM2ForCausalLM",
    },
    "bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 32768,
    "model_type": "internlm2",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 2,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 2.0, "type": "dynamic"},
    "rope_theta": 1000000,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 2000,
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, ffn, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head, groups = hidden // heads, config["num_key_value_heads"]
    found: Tensors = {
        "model.tok_embeddings.weight": Tensor((config["vocab_size"], hidden)),
        **norms(around_one, hidden, "model.norm"),
        **linear("output", config["vocab_size"], hidden),
    }
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= linear(f"{prefix}.attention.wqkv", (heads + 2 * groups) * head, hidden)
        found |= linear(f"{prefix}.attention.wo", hidden, hidden)
        found |= linear(f"{prefix}.feed_forward.w1", ffn, hidden) | linear(f"{prefix}.feed_forward.w3", ffn, hidden)
        found |= linear(f"{prefix}.feed_forward.w2", hidden, ffn)
        found |= norms(around_one, hidden, f"{prefix}.attention_norm", f"{prefix}.ffn_norm")
    return found


#: The chat models' ends of turns replace pieces of the model that are not used.
CHAT = {**dict(enumerate(LLAMA_SPECIALS)), 1998: "<|im_start|>", 1999: "<|im_end|>"}
VOCABULARY = llama_real(added_tokens_decoder=decoder_of([added(*token) for token in CHAT.items()]))
ALL_KEYS = {**SMALL, "vocab_size": 314, "num_key_value_heads": 4}
CASES = (
    Case("InternLM2-small", SMALL, tensors(SMALL), VOCABULARY),
    Case("InternLM2-a-key-for-each-head", ALL_KEYS, tensors(ALL_KEYS), llama_sentencepiece(), slow=True),
)
