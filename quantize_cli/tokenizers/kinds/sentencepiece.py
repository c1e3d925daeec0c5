"""SentencePiece vocabularies from tokenizer.model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from quantize_cli.errors import shown
from quantize_cli.tokenizers.json_values import mapping, token_id, token_text
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.fit import Cut, left_out
from quantize_cli.tokenizers.sentencepiece_model import Piece
from quantize_cli.tokenizers.source import TOKENIZER_MODEL, Source
from quantize_cli.tokenizers.token_types import BOUNDARY, PAD_SCORE, TokenType, looks_like_control, padding
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

_ADDED_SCORE = -1000.0

_ADDED = "added_tokens.json"
_CONFIG = "tokenizer_config.json"


class Added(NamedTuple):
    """An added token, which lies over the piece with its id."""

    id: int
    text: str
    type: TokenType
    where: str  #: its file in messages


def has_pieces(source: Source) -> bool:
    """Tell whether there is a tokenizer.model that can be read."""
    return bool(source.pieces)


def _read(source: Source) -> Tokens:
    """Read the pieces, with the added tokens of the JSON files over them, padded or cut to the model's rows."""
    return lay_out(source, source.pieces, source.where(TOKENIZER_MODEL), added_tokens(source), disagreement(source))


def lay_out(
    source: Source, pieces: Sequence[Piece], where: str, added: Iterable[Added], notes: Iterable[str] = ()
) -> Tokens:
    """Return a vocabulary of pieces with the added tokens over them, padded or cut to the model's rows.

    Args:
        source: The checkpoint's files.
        pieces: The pieces by id.
        where: The name of their file in messages.
        added: The added tokens; a later one wins.
        notes: Sentences for the user.
    """
    size = source.size or len(pieces)
    tokens, scores, types = padding(size), [PAD_SCORE] * size, [TokenType.UNUSED] * size
    origins: dict[int, str] = {}
    for i, (token, score, type_) in enumerate(pieces[:size]):
        tokens[i], scores[i], types[i] = token, score, type_
    cut = {i: Cut(i, piece.text, where) for i, piece in enumerate(pieces[size:], size)}
    for i, token, type_, where in added:
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
        notes=(*left_out(list(cut.values()), size), *notes),
    )


def disagreement(source: Source) -> Iterator[str]:
    """Report a tokenizer.json with another vocabulary; the reference uses tokenizer.model without a word."""
    if source.has(TOKENIZER_JSON) and (odd := source.compared_file.odd):
        text, i = odd
        there = f"has {shown(source.pieces[i].text)}" if i < len(source.pieces) else "does not have it"
        yield (
            f"{source.where(TOKENIZER_JSON)} has the token {shown(text)} with the id {i}, but {TOKENIZER_MODEL}, which "
            f"is used, {there}; if that file is another model's, move it away."
        )


def added_tokens(source: Source) -> Iterator[Added]:
    """Yield the added tokens of added_tokens.json and tokenizer_config.json."""
    yield from listed_tokens(source)
    for i, text, special, where in declared_tokens(source):
        if special or looks_like_control(text):
            yield Added(i, text, TokenType.CONTROL, where)
        else:
            yield Added(i, text.replace(BOUNDARY, " "), TokenType.USER_DEFINED, where)


def listed_tokens(source: Source) -> Iterator[Added]:
    """Yield the tokens of added_tokens.json."""
    where = source.where(_ADDED)
    for text, i in source.json(_ADDED).items():
        yield Added(token_id(i, where), text, TokenType.USER_DEFINED, where)


def declared_tokens(source: Source) -> Iterator[tuple[int, str, bool, str]]:
    """Yield id, text, whether it is special, and file of the added tokens of tokenizer_config.json."""
    where = source.where(_CONFIG)
    for key, entry in mapping(source.tokenizer_config.get("added_tokens_decoder")).items():
        i = token_id(key, where)
        yield i, token_text(entry, i, where), bool(entry.get("special")), where


SENTENCEPIECE = Kind(TOKENIZER_MODEL, has_pieces, _read)
