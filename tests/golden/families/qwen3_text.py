"""Qwen 3's dense models beside the chat models: embedding models and rerankers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Vocabulary
from golden.families.layouts import renamed
from golden.families.qwen2_kin import decoder
from golden.families.shapes import Tensors, ends
from golden.families.vocabularies import real
from golden.families.weights import around_one

SMALL = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 2000,
    "eos_token_id": 2000,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 32768,
    "max_window_layers": 2,
    "model_type": "qwen3",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 2048,
}
CHAT = {**SMALL, "eos_token_id": 2002, "max_position_embeddings": 40960}
UNTIED = {**SMALL, "tie_word_embeddings": False, "hidden_size": 320}
FEW = {**SMALL, "num_hidden_layers": 1}


def with_answers(vocabulary: Vocabulary) -> Vocabulary:
    """Return the vocabulary with the tokens that rerankers answer with in place of the last two that merges make."""
    tokenizer = json.loads(vocabulary.files["tokenizer.json"])
    model = tokenizer["model"]
    for text in ("no", "yes"):
        last = next(merge for merge in reversed(model["merges"]) if "".join(merge) in model["vocab"])
        model["merges"].remove(last)
        model["vocab"][text] = model["vocab"].pop("".join(last))
    files = {**vocabulary.files, "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False).encode()}
    return Vocabulary(files, vocabulary.pre_tokenizer)


def with_card(vocabulary: Vocabulary, title: str) -> Vocabulary:
    """Return the vocabulary with a model card beside it."""
    return Vocabulary({**vocabulary.files, "README.md": f"# {title}\n".encode()}, vocabulary.pre_tokenizer)


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of the chat models."""
    tied = config["tie_word_embeddings"]
    return ends(config["vocab_size"], config["hidden_size"], around_one, tied) | decoder(config, normed=True)


RERANKER = with_answers(real("qwen3"))

CASES = (
    # The names of the base class, under the class with a head.
    Case("Qwen3-Embedding-small", SMALL, tensors(SMALL), real("qwen3"), layout=renamed(("model.", ""))),
    Case("Qwen3-Reranker-tied", FEW, tensors(FEW), RERANKER),
    Case("Qwen3-small", CHAT, tensors(CHAT), real("qwen3"), slow=True),
    # The model card alone tells that it is one.
    Case(
        "Qwen3-told-by-card",
        UNTIED,
        tensors(UNTIED),
        with_card(RERANKER, "Qwen3-Reranker-8B"),
        dtype="float16",
        slow=True,
    ),
    # A tied head that is stored all the same.
    Case(
        "Qwen3-Reranker-stored-head",
        FEW,
        tensors({**FEW, "tie_word_embeddings": False}),
        RERANKER,
        slow=True,
    ),
)
