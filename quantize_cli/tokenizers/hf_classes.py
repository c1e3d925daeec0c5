"""The tokenizer class that `transformers` takes for a checkpoint, and the class's own special tokens.

The facts are those of transformers 5.23, `models/auto/tokenization_auto.py` and the classes themselves. Only facts that
reach a GGUF file are here: a class's own special tokens are in its vocabulary even if tokenizer_config.json does not
name them.
"""

from __future__ import annotations

#: The tokens with a role.
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

PLAIN = "TokenizersBackend"
QWEN2 = "Qwen2Tokenizer"
_QWEN3_5 = "Qwen3_5Tokenizer"
_GEMMA = "GemmaTokenizer"

#: model_type of config.json -> the class that is used whatever the files declare.
_FORCED = {
    "mistral": PLAIN,
    "mixtral": PLAIN,
    "qwen2": QWEN2,
    "qwen3_5": _QWEN3_5,
    "qwen3_5_moe": _QWEN3_5,
    "qwen3_5_moe_text": _QWEN3_5,
}
#: model_type of config.json -> the class that is used if the files declare none.
_USUAL = {
    "gemma3": _GEMMA,
    "gemma3_text": _GEMMA,
    "qwen2_moe": QWEN2,
    "qwen3": QWEN2,
    "qwen3_moe": QWEN2,
    "qwen3_5_text": _QWEN3_5,
}

_END_OF_TEXT = "<|endoftext|>"
_QWEN_TOKENS = dict.fromkeys(("eos_token", "unk_token", "pad_token"), _END_OF_TEXT)
_GPT2_TOKENS = dict.fromkeys(("bos_token", "eos_token", "unk_token"), _END_OF_TEXT)
#: class -> its own special tokens.
OWN_TOKENS: dict[str, dict[str, str]] = {
    _GEMMA: {key: f"<{key.removesuffix('_token')}>" for key in NAMED if key not in ("sep_token", "cls_token")},
    "GPT2Tokenizer": _GPT2_TOKENS,
    "GPTNeoXTokenizer": {**_GPT2_TOKENS, "pad_token": "<|padding|>"},
    "LlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    QWEN2: _QWEN_TOKENS,
    _QWEN3_5: _QWEN_TOKENS,
}


def class_of(model_type: object, declared: object) -> str:
    """Return the class for config.json's `model_type` and for the class that the files declare, if they do."""
    name = _FORCED.get(str(model_type)) or declared or _USUAL.get(str(model_type), PLAIN)
    return str(name).removesuffix("Fast")
