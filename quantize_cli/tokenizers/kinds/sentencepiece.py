"""SentencePiece vocabularies from tokenizer.model."""

from __future__ import annotations

from collections.abc import Iterator

from quantize_cli.errors import shown
from quantize_cli.tokenizers.json_values import mapping, token_id, token_text
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.fit import Cut, left_out
from quantize_cli.tokenizers.source import TOKENIZER_MODEL, Source
from quantize_cli.tokenizers.token_types import BOUNDARY, PAD_SCORE, TokenType, looks_like_control, padding
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

_ADDED_SCORE = -1000.0

_ADDED = "added_tokens.json"
_CONFIG = "tokenizer_config.json"


def _applies(source: Source) -> bool:
    return bool(source.pieces)


def _read(source: Source) -> Tokens:
    """Read the pieces, with the added tokens of the JSON files over them, padded or cut to the model's rows."""
    pieces = source.pieces
    size = source.size or len(pieces)
    tokens, scores, types = padding(size), [PAD_SCORE] * size, [TokenType.UNUSED] * size
    origins: dict[int, str] = {}
    for i, (token, score, type_) in enumerate(pieces[:size]):
        tokens[i], scores[i], types[i] = token, score, type_
    where = source.where(TOKENIZER_MODEL)
    cut = {i: Cut(i, piece.text, where) for i, piece in enumerate(pieces[size:], size)}
    for i, token, type_, where in _added_tokens(source):
        if i < size:
            tokens[i], scores[i], types[i], origins[i] = token, _ADDED_SCORE, type_, where
        else:
            cut[i] = Cut(i, token, where)
    return Tokens(
        "llama",
        "default",
        tokens,
        types,
        scores,
        id_limit=size,
        origins=origins,
        notes=(*left_out(list(cut.values()), size), *_disagreement(source)),
    )


def _disagreement(source: Source) -> Iterator[str]:
    """Report a tokenizer.json with another vocabulary; the reference uses tokenizer.model without a word."""
    if source.has(TOKENIZER_JSON) and (odd := source.compared_file.odd):
        text, i = odd
        there = f"has {shown(source.pieces[i].text)}" if i < len(source.pieces) else "does not have it"
        yield (
            f"{source.where(TOKENIZER_JSON)} has the token {shown(text)} with the id {i}, but {TOKENIZER_MODEL}, which "
            f"is used, {there}; if that file is another model's, move it away."
        )


def _added_tokens(source: Source) -> Iterator[tuple[int, str, TokenType, str]]:
    """Yield token ids with text, type and file; a later one wins."""
    where = source.where(_ADDED)
    for token, i in source.json(_ADDED).items():
        yield token_id(i, where), token, TokenType.USER_DEFINED, where
    where = source.where(_CONFIG)
    for key, entry in mapping(source.tokenizer_config.get("added_tokens_decoder")).items():
        i = token_id(key, where)
        content = token_text(entry, i, where)
        if entry.get("special") or looks_like_control(content):
            yield i, content, TokenType.CONTROL, where
        else:
            yield i, content.replace(BOUNDARY, " "), TokenType.USER_DEFINED, where


SENTENCEPIECE = Kind(TOKENIZER_MODEL, _applies, _read)
