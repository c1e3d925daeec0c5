"""Phi-3's SentencePiece vocabulary: added tokens as they are written, those of tokenizer.json among them."""

from __future__ import annotations

from collections.abc import Iterator

from quantize_cli.tokenizers.json_values import mapping, sequence, token_id, token_text
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.sentencepiece import (
    Added,
    declared_tokens,
    disagreement,
    has_pieces,
    lay_out,
    listed_tokens,
)
from quantize_cli.tokenizers.source import TOKENIZER_MODEL, Source
from quantize_cli.tokenizers.token_types import TokenType
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

#: The class of Phi-4, whose vocabulary is byte-level BPE.
_BYTE_LEVEL_CLASS = "GPT2Tokenizer"


def plain_tokens(source: Source) -> Iterator[Added]:
    """Yield the added tokens of all JSON files; their texts and marks count as they stand."""
    yield from listed_tokens(source)
    for i, text, special, where in (*declared_tokens(source), *_own_tokens(source)):
        yield Added(i, text, TokenType.CONTROL if special else TokenType.USER_DEFINED, where)


def _own_tokens(source: Source) -> Iterator[tuple[int, str, bool, str]]:
    where = source.where(TOKENIZER_JSON)
    for entry in map(mapping, sequence(source.tokenizer.get("added_tokens"))):
        i = token_id(entry.get("id"), where)
        yield i, token_text(entry, i, where), bool(entry.get("special")), where


def _applies(source: Source) -> bool:
    return source.tokenizer_config.get("tokenizer_class") != _BYTE_LEVEL_CLASS and has_pieces(source)


def _read(source: Source) -> Tokens:
    return lay_out(source, source.pieces, source.where(TOKENIZER_MODEL), plain_tokens(source), disagreement(source))


PHI3_PIECES = Kind(TOKENIZER_MODEL, _applies, _read)
