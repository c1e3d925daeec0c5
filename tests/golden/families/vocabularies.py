"""Small tokenizers, each with the structure of its family's real one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from golden.families.case import Vocabulary
from golden.families.sentencepiece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    model_of,
    pieces,
    sentencepiece,
)
from golden.families.tokenizer_json import Json, added, byte_fallback, byte_level, token_ids

CUT = Path(__file__).resolve().parent / "tokenizers"  # real tokenizers with fewer tokens, by cut_tokenizers.py
#: What the reference finds for the whole tokenizer; none where it would not ask.
CUT_PRE_TOKENIZERS = {
    "deepseek_v3": "deepseek-v3",
    "gemma3": "granite-embed-multi-311m",
    "gpt2": "gpt-2",
    "gptoss": "gpt-4o",
    "granite-3.1-moe": "refact",
    "llama3_1": "llama-bpe",
    "mistral-7b-v0.3": None,
    "phi3-mini": None,
    "pythia-410m": "olmo",
    "qwen3": "qwen2",
    "smollm2": "smollm",
}

PADDED = 16  # config.json's number of tokens is a multiple of it

QWEN_3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_3_5_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_ADDED = {"<|endoftext|>": True, "<|im_start|>": True, "<|im_end|>": True, "<think>": False, "</think>": False}

#: GLM's split is Qwen 2's with runs of up to three digits.
GLM_SPLIT = QWEN_3_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|")

LLAMA_SPECIALS = {"<unk>": UNKNOWN, "<s>": CONTROL, "</s>": CONTROL}
GEMMA_SPECIALS = {
    "<pad>": CONTROL,
    "<eos>": CONTROL,
    "<bos>": CONTROL,
    "<unk>": UNKNOWN,
    "<mask>": USER_DEFINED,
    "[multimodal]": USER_DEFINED,
    "<start_of_turn>": USER_DEFINED,
    "<end_of_turn>": USER_DEFINED,
}
BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")
GEMMA_NOT_SPECIAL = ("<mask>", "[multimodal]")  # in Hugging Face's files; SentencePiece's differ
IMAGE = "<image_soft_token>"  # the token that lies beyond Gemma 3's SentencePiece vocabulary


def real(name: str) -> Vocabulary:
    """Return a real tokenizer, cut to some 2,000 tokens: `tokens` tells their ids."""
    return Vocabulary(
        {path.name: path.read_bytes() for path in sorted((CUT / name).iterdir())}, CUT_PRE_TOKENIZERS[name]
    )


def tokens(vocabulary: Vocabulary) -> dict[str, int]:
    """Return the id of each token of a vocabulary with a tokenizer.json, for config.json."""
    return token_ids(json.loads(vocabulary.files["tokenizer.json"]))


def numbers(vocabulary: Vocabulary) -> Json:
    """Return what config.json tells of a vocabulary with a tokenizer.json: ids of special tokens, and a padded size."""
    ids, settings = tokens(vocabulary), json.loads(vocabulary.files["tokenizer_config.json"])
    found: Json = {"vocab_size": -(-(max(ids.values()) + 1) // PADDED) * PADDED}
    for role in ("bos", "eos", "pad"):
        token = settings.get(f"{role}_token")
        if token is not None:
            found[f"{role}_token_id"] = ids[token if isinstance(token, str) else token["content"]]
    return found


def qwen(split: str, pre_tokenizer: str) -> Vocabulary:
    """Return a tokenizer like Qwen's: byte-level BPE, added tokens last, no BOS."""
    tokenizer = byte_level({"type": "NFC"}, [split], ())
    tokenizer["added_tokens"] = _last(tokenizer, QWEN_ADDED)
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": decoder_of(tokenizer["added_tokens"]),
        "bos_token": None,
        "chat_template": "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    return Vocabulary(files_of(settings, tokenizer), pre_tokenizer)


def llama_sentencepiece() -> Vocabulary:
    """Return a tokenizer like Mixtral's, without tokenizer.json."""
    model = {"tokenizer.model": sentencepiece(LLAMA_SPECIALS, dummy_prefix=True)}
    return Vocabulary({**files_of(_llama_settings()), **model})


def llama_real(**settings: Any) -> Vocabulary:
    """Return the cut Llama 2's tokenizer.model, which is Phi-3's too, alone; `settings` replace some."""
    model = {"tokenizer.model": real("phi3-mini").files["tokenizer.model"]}
    return Vocabulary({**files_of({**_llama_settings(), **settings}), **model})


def llama_json() -> Vocabulary:
    """Return a tokenizer like Mixtral's, without tokenizer.model."""
    prepend = {"type": "Prepend", "prepend": "▁"}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    normalizer = {"type": "Sequence", "normalizers": [prepend, replace]}
    return Vocabulary(files_of(_llama_settings(), byte_fallback(normalizer, None, tuple(LLAMA_SPECIALS), "<s>")))


def gemma_sentencepiece() -> Vocabulary:
    """Return a tokenizer like Gemma 3's, without tokenizer.json."""
    model = {"tokenizer.model": sentencepiece(GEMMA_SPECIALS, dummy_prefix=False)}
    beyond = {"added_tokens.json": _bytes({IMAGE: len(pieces(GEMMA_SPECIALS))})}
    return Vocabulary({**files_of(_gemma_settings()), **model, **beyond})


def gemma_real() -> Vocabulary:
    """Return the cut Gemma 3's tokenizer.json, and a tokenizer.model of the same tokens, as all Gemmas but 4 have."""
    found = real("gemma3")
    tokenizer = json.loads(found.files["tokenizer.json"])
    own = {token["content"] for token in tokenizer["added_tokens"]}
    kinds = {}
    for text in sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get):
        byte = BYTE if BYTE_TOKEN.fullmatch(text) else NORMAL
        kinds[text] = GEMMA_SPECIALS.get(text, USER_DEFINED if text in own else byte)
    beyond = {token["content"]: token["id"] for token in tokenizer["added_tokens"] if token["content"] not in kinds}
    model = {"tokenizer.model": model_of(kinds, dummy_prefix=False)}
    return Vocabulary({**found.files, **model, **({"added_tokens.json": _bytes(beyond)} if beyond else {})})


def gemma_json() -> Vocabulary:
    """Return a tokenizer like Gemma 3's, without tokenizer.model.

    The pre-tokenizer's name is the one that the reference finds for the real vocabulary.
    """
    normalizer = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    split = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    tokenizer = byte_fallback(normalizer, split, tuple(GEMMA_SPECIALS), "<bos>")
    tokenizer["added_tokens"] = [*_gemma_added(), *_last(tokenizer, {IMAGE: True})]
    return Vocabulary(files_of(_gemma_settings(), tokenizer), "granite-embed-multi-311m")


def gemma_both() -> Vocabulary:
    """Return Gemma 3's tokenizer as on the Hub: tokenizer.model wins, tokenizer.json tells the special tokens' ids."""
    return Vocabulary({**gemma_json().files, **gemma_sentencepiece().files})


def _last(tokenizer: Json, tokens: dict[str, bool]) -> list[Json]:
    """Return the added tokens behind the vocabulary."""
    start = len(tokenizer["model"]["vocab"])
    return [added(start + index, token, special) for index, (token, special) in enumerate(tokens.items())]


def _llama_settings() -> Json:
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": decoder_of([added(index, token) for index, token in enumerate(LLAMA_SPECIALS)]),
        "bos_token": "<s>",
        "eos_token": "</s>",
        "legacy": True,
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }


def _gemma_settings() -> Json:
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": decoder_of(_gemma_added()),
        "bos_token": "<bos>",
        "eos_token": "<end_of_turn>",
        "pad_token": "<pad>",
        "tokenizer_class": "GemmaTokenizer",
        "unk_token": "<unk>",
    }


def _gemma_added() -> list[Json]:
    return [added(index, token, token not in GEMMA_NOT_SPECIAL) for index, token in enumerate(GEMMA_SPECIALS)]


def decoder_of(tokens: Sequence[Json]) -> Json:
    """Return `added_tokens` as tokenizer_config.json has them."""
    return {str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in tokens}


def files_of(settings: Mapping[str, Any], tokenizer: Json | None = None) -> dict[str, bytes]:
    """Return tokenizer_config.json, and tokenizer.json where it is given."""
    config = {"tokenizer_config.json": _bytes(settings)}
    return {**config, "tokenizer.json": _bytes(tokenizer)} if tokenizer else config


def _bytes(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()
