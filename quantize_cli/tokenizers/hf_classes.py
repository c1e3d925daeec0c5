"""The tokenizer class that `transformers` takes for a checkpoint, and the class's own special tokens.

The facts are those of transformers 5.23, `models/auto/tokenization_auto.py` and the classes themselves. Only facts that
reach a GGUF file are here: a class's own special tokens are in its vocabulary even if tokenizer_config.json does not
name them.
"""

from __future__ import annotations

from collections.abc import Mapping

#: The tokens with a role.
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

PLAIN = "TokenizersBackend"
QWEN2 = "Qwen2Tokenizer"
_QWEN3_5 = "Qwen3_5Tokenizer"
_CODE_GEN = "CodeGenTokenizer"
_CODE_LLAMA = "CodeLlamaTokenizer"
_COHERE = "CohereTokenizer"
_GEMMA = "GemmaTokenizer"
_GPT2 = "GPT2Tokenizer"
_GPT_NEOX = "GPTNeoXTokenizer"

#: The class that is used whatever the files declare -> model_type of config.json.
_FORCED = {
    PLAIN: (
        *("ernie4_5", "ernie4_5_moe", "glm", "glm4", "glm4_moe", "glm4_moe_lite"),
        *("granite", "granitemoe", "granitemoehybrid", "granitemoeshared", "internlm2", "internlm3"),
        *("kimi_k25", "kimi_linear", "minicpm3", "minimax_m2", "ministral", "ministral3", "mistral", "mistral3"),
        *("mixtral", "nemotron", "olmo2", "olmo3", "phi3", "phimoe", "stablelm"),
    ),
    QWEN2: ("qwen2",),
    _QWEN3_5: ("qwen3_5", "qwen3_5_moe", "qwen3_5_moe_text", "qwen4_exp"),
}
#: The class that is used if the files declare none -> model_type of config.json.
_USUAL = {
    QWEN2: (
        *("qwen2_5_omni", "qwen2_5_vl", "qwen2_moe", "qwen2_vl", "qwen3", "qwen3_asr", "qwen3_moe", "qwen3_next"),
        *("qwen3_omni_moe", "qwen3_vl", "qwen3_vl_moe"),
    ),
    _QWEN3_5: ("qwen3_5_text",),
    _COHERE: ("cohere", "cohere2"),
    _GEMMA: ("gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text"),
    _GPT2: ("gpt2", "phi", "starcoder2"),
    _GPT_NEOX: ("gpt_neox", "mamba", "mamba2", "olmo", "olmoe"),
}

_END_OF_TEXT = "<|endoftext|>"
_QWEN_TOKENS = dict.fromkeys(("eos_token", "unk_token", "pad_token"), _END_OF_TEXT)
_GPT2_TOKENS = dict.fromkeys(("bos_token", "eos_token", "unk_token"), _END_OF_TEXT)
_LLAMA_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
#: class -> its own special tokens.
OWN_TOKENS: dict[str, dict[str, str]] = {
    _GEMMA: {key: f"<{key.removesuffix('_token')}>" for key in NAMED if key not in ("sep_token", "cls_token")},
    _COHERE: {
        "bos_token": "<BOS_TOKEN>",
        "eos_token": "<|END_OF_TURN_TOKEN|>",
        "unk_token": "<UNK>",
        "sep_token": "<SEP>",
        "pad_token": "<PAD>",
        "cls_token": "<CLS>",
        "mask_token": "<MASK_TOKEN>",
    },
    _CODE_GEN: _GPT2_TOKENS,
    _CODE_LLAMA: {
        **_LLAMA_TOKENS,
        "prefix_token": "▁<PRE>",
        "middle_token": "▁<MID>",
        "suffix_token": "▁<SUF>",
        "eot_token": "▁<EOT>",
        "fill_token": "<FILL_ME>",
    },
    _GPT2: _GPT2_TOKENS,
    _GPT_NEOX: {**_GPT2_TOKENS, "pad_token": "<|padding|>"},
    "LlamaTokenizer": _LLAMA_TOKENS,
    QWEN2: _QWEN_TOKENS,
    _QWEN3_5: _QWEN_TOKENS,
}


def class_of(model_type: object, declared: object) -> str:
    """Return the class for config.json's `model_type` and for the class that the files declare, if they do.

    A declared class that is not here is the plain one, as for transformers a class that it does not know is.
    """
    name = _class(_FORCED, model_type) or declared or _class(_USUAL, model_type)
    own = str(name).removesuffix("Fast")
    return own if own in OWN_TOKENS else PLAIN


def _class(table: Mapping[str, tuple[str, ...]], model_type: object) -> str | None:
    return next((name for name, types in table.items() if model_type in types), None)
