"""SentencePiece vocabularies from tokenizer.model."""

from __future__ import annotations

from collections.abc import Iterator

from sentencepiece import SentencePieceProcessor

from quantize_cli.errors import CheckpointError, shown
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.source import Source, mapping
from quantize_cli.tokenizers.token_types import BOUNDARY, TokenType, looks_like_control

_FILE = "tokenizer.model"
_UNUSED_SCORE = -10000.0
_ADDED_SCORE = -1000.0


def _applies(source: Source) -> bool:
    return source.has(_FILE)


def _read(source: Source) -> Tokens:
    """Read the pieces, with the added tokens of the JSON files over them, padded or cut to `vocab_size`."""
    pieces = _pieces(source)
    size = source.vocab_size or len(pieces)
    tokens = [f"[PAD{i}]" for i in range(size)]
    scores = [_UNUSED_SCORE] * size
    types = [TokenType.UNUSED] * size
    for i, (token, score, type_) in enumerate(pieces[:size]):
        tokens[i], scores[i], types[i] = token, score, type_
    for i, token, type_ in _added_tokens(source):
        if i < size:
            tokens[i], scores[i], types[i] = token, _ADDED_SCORE, type_
    return Tokens("llama", "default", tokens, types, scores, id_limit=size)


def _pieces(source: Source) -> list[tuple[str, float, TokenType]]:
    """Return text, score and type of each piece of tokenizer.model."""
    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(source.read(_FILE))
        return [
            (processor.IdToPiece(i), processor.GetScore(i), _piece_type(processor, i))
            for i in range(processor.vocab_size())
        ]
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{source.where(_FILE)} is not a SentencePiece model; download it again.") from error


def _piece_type(processor: SentencePieceProcessor, i: int) -> TokenType:
    if processor.IsUnknown(i):
        return TokenType.UNKNOWN
    if processor.IsControl(i):
        return TokenType.CONTROL
    if processor.IsUnused(i):
        return TokenType.UNUSED
    if processor.IsByte(i):
        return TokenType.BYTE
    return TokenType.NORMAL


def _added_tokens(source: Source) -> Iterator[tuple[int, str, TokenType]]:
    """Yield token ids with text and type; a later one wins."""
    for token, i in source.json("added_tokens.json").items():
        yield _token_id(i, source, "added_tokens.json"), token, TokenType.USER_DEFINED
    for key, entry in mapping(source.tokenizer_config.get("added_tokens_decoder")).items():
        i = _token_id(key, source, "tokenizer_config.json")
        content = mapping(entry).get("content")
        if not isinstance(content, str):
            raise CheckpointError(
                f"{source.where('tokenizer_config.json')} does not give the text of the added token {i}; "
                "download it again."
            )
        if entry.get("special") or looks_like_control(content):
            yield i, content, TokenType.CONTROL
        else:
            yield i, content.replace(BOUNDARY, " "), TokenType.USER_DEFINED


def _token_id(value: object, source: Source, name: str) -> int:
    try:
        i = int(value) if isinstance(value, (int, str)) else -1
    except ValueError:
        i = -1
    if i < 0:
        raise CheckpointError(
            f"{source.where(name)} gives an added token the id {shown(value)}, which is not a token id; "
            "download it again."
        )
    return i


SENTENCEPIECE = Kind(_FILE, _applies, _read)
