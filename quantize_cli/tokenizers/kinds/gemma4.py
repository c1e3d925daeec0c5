"""Gemma 4's vocabulary: BPE with byte tokens and merges, which llama.cpp has a tokenizer of its own for."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.tokenizers.kinds.base import Tokens
from quantize_cli.tokenizers.kinds.bpe import merges_of
from quantize_cli.tokenizers.kinds.llama_bpe import LLAMA_BPE, read_tokens
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.token_types import TokenType

#: Control tokens that a reply shows, because who parses a reply looks for them.
_SHOWN = frozenset(
    {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>'}
)


def _read(source: Source) -> Tokens:
    found = read_tokens(source)
    types = [
        TokenType.USER_DEFINED if text in _SHOWN else type_
        for text, type_ in zip(found.tokens, found.types, strict=True)
    ]
    return replace(found, model="gemma4", pre=None, types=types, merges=merges_of(source))


GEMMA4_BPE = replace(LLAMA_BPE, read=_read)
