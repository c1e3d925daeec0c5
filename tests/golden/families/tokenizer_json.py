"""tokenizer.json of small BPE tokenizers, built by hand and the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from golden.families.pieces import BYTE_TOKENS, LETTERS, merges

Json = dict[str, Any]


def added(token_id: int, content: str, special: bool = True, normalized: bool = False) -> Json:
    """Return an entry of `added_tokens`."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized, "special": special}
    return {"id": token_id, "content": content, **flags}


def byte_level(normalizer: Json, splits: Sequence[str], first: Sequence[str]) -> Json:
    """Return a byte-level BPE.

    `splits` are the pre-tokenizer's patterns, `first` the special tokens before the bytes.
    """
    pairs = merges("Ġ")
    tokens = [*first, *_byte_letters(), *("".join(pair) for pair in pairs)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    pieces = [{"type": "Split", "pattern": {"Regex": s}, "behavior": "Isolated", "invert": False} for s in splits]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(index, token) for index, token in enumerate(first)],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*pieces, level]},
        "post_processor": level,
        "decoder": level,
        "model": _bpe(tokens, pairs, unk_token=None, fuse_unk=False, byte_fallback=False),
    }


def byte_fallback(normalizer: Json, pre_tokenizer: Json | None, first: Sequence[str], bos: str) -> Json:
    """Return a BPE of letters with byte tokens for what it lacks.

    `first` are the special tokens before the bytes; `bos` is the one of them that comes before each text.
    """
    pairs = merges("▁")
    tokens = [*first, *BYTE_TOKENS, *LETTERS, *("".join(pair) for pair in pairs)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(index, token) for index, token in enumerate(first)],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": beginning((bos, first.index(bos))),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": _bpe(tokens, pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
    }


def beginning(*starts: tuple[str, int]) -> Json:
    """Return a post-processor that puts tokens, given with their ids, before each text."""
    single = [{"SpecialToken": {"id": token, "type_id": 0}} for token, _ in starts]
    other = [{"SpecialToken": {"id": token, "type_id": 1}} for token, _ in starts]
    text, other_text = ({"Sequence": {"id": letter, "type_id": part}} for part, letter in enumerate("AB"))
    return {
        "type": "TemplateProcessing",
        "single": [*single, text],
        "pair": [*single, text, *other, other_text],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]} for token, number in starts},
    }


def token_ids(tokenizer: Json) -> dict[str, int]:
    """Return the id of each token, added ones too."""
    return {**tokenizer["model"]["vocab"], **{token["content"]: token["id"] for token in tokenizer["added_tokens"]}}


def _byte_letters() -> list[str]:
    """Return the letters that byte-level BPE writes the bytes 0 to 255 as."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    shifted = {byte: 0x100 + index for index, byte in enumerate(sorted(set(range(256)) - plain))}
    return [chr(shifted.get(byte, byte)) for byte in range(256)]


def _bpe(tokens: Sequence[str], pairs: Sequence[tuple[str, str]], **settings: Any) -> Json:
    return {
        "type": "BPE",
        "dropout": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        **settings,
        "vocab": {token: index for index, token in enumerate(tokens)},
        "merges": pairs,
    }
