"""Hunyuan A13B: experts, and tiktoken's ranks in the number of the real ones, since the reference writes a fixed id."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from golden.families.case import Case, Vocabulary
from golden.families.shapes import Tensors, attention, ends, linear, mlp, norms
from golden.families.weights import around_one

RANKS, SPECIAL = 127957, 210
#: What the model's repository adds to its ranks; only the reference runs it.
CODE = """
import base64

from transformers import PreTrainedTokenizer

NAMES = ("<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>")


class HYTokenizer(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": "hy.tiktoken"}

    def __init__(self, vocab_file, **settings):
        with open(vocab_file, "rb") as file:
            self.mergeable_ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, file)}
        count = 210 - len(NAMES)
        texts = (*NAMES, *(f"<|extra_{number}|>" for number in range(count)))
        self.special_tokens = {text: len(self.mergeable_ranks) + place for place, text in enumerate(texts)}
        super().__init__(**settings)

    @property
    def vocab_size(self):
        return len(self.mergeable_ranks) + len(self.special_tokens)

    def get_vocab(self):
        return dict(self.special_tokens)

    def _tokenize(self, text, **settings):
        return list(text)

    def _convert_token_to_id(self, token):
        return self.special_tokens.get(token, 0)

    def _convert_id_to_token(self, index):
        return str(index)
"""
CONFIG = {
    "add_classification_head": False,
    "architectures": ["HunYuanMoEV1ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.1,
    "attention_head_dim": 128,
    "bos_token_id": 1,
    "cla_share_factor": 2,
    "eod_token_id": 127967,
    "eos_token_id": 127960,
    "hidden_act": "silu",
    "hidden_size": 128,
    "im_end_id": 5,
    "initializer_range": 0.02,
    "intermediate_size": 256,
    "max_position_embeddings": 32768,
    "mlp_bias": False,
    "model_type": "hunyuan_v1_moe",
    "moe_drop_tokens": False,
    "moe_intermediate_size": [256, 256],
    "moe_layer_num_skipped": 0,
    "moe_topk": [2, 2],
    "norm_type": "rms",
    "num_attention_heads": 1,
    "num_experts": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "num_shared_expert": [1, 1],
    "pad_token_id": 127961,
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
    "use_cla": False,
    "use_mixed_mlp_moe": True,
    "use_qk_norm": True,
    "vocab_size": RANKS + SPECIAL,
}


def _tokens() -> Iterator[bytes]:
    """Yield all bytes, all pairs of them, and then triples."""
    for length in (1, 2, 3):
        yield from map(bytes, product(range(256), repeat=length))


def ranks() -> Vocabulary:
    """Return a tokenizer like Hunyuan's, and the code of its repository."""
    lines = (b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(islice(_tokens(), RANKS)))
    settings = {
        "auto_map": {"AutoTokenizer": ["tokenization_hy.HYTokenizer", None]},
        "chat_template": "{% for message in messages %}<|startoftext|>{{ message['content'] }}<|extra_0|>{% endfor %}",
        "eos_token": "<|eos|>",
        "pad_token": "<|pad|>",
        "tokenizer_class": "HYTokenizer",
    }
    files = {"hy.tiktoken": b"".join(lines), "tokenization_hy.py": CODE.encode()}
    return Vocabulary({**files, "tokenizer_config.json": json.dumps(settings).encode()}, "hunyuan")


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        found |= attention(attn, hidden, 1, 1, 128)
        found |= norms(around_one, 128, f"{attn}.query_layernorm", f"{attn}.key_layernorm")
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= linear(f"{prefix}.mlp.gate.wg", config["num_experts"], hidden) | mlp(
            f"{prefix}.mlp.shared_mlp", hidden, ffn
        )
        for expert in range(config["num_experts"]):
            found |= mlp(f"{prefix}.mlp.experts.{expert}", hidden, config["moe_intermediate_size"][layer])
    return found


CASES = (Case("Hunyuan-A13B", CONFIG, tensors(CONFIG), ranks(), slow=True),)
