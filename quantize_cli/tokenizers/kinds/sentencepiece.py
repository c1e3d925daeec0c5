"""SentencePiece vocabularies from tokenizer.model."""

from __future__ import annotations

from collections.abc import Iterator

from gguf import GGUFWriter, TokenType
from sentencepiece import SentencePieceProcessor

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.files import TokenizerFiles, mapping
from quantize_cli.tokenizers.special_tokens import read_special_tokens
from quantize_cli.tokenizers.token_types import BOUNDARY, looks_like_control

NAME = "tokenizer.model"
TAKES_PRE_TOKENIZER = False

_UNUSED_SCORE = -10000.0
_ADDED_SCORE = -1000.0


def applies(files: TokenizerFiles) -> bool:
    """Whether there is a tokenizer.model."""
    return files.has(NAME)


def add(writer: GGUFWriter, files: TokenizerFiles, vocab_size: int | None, _: str | None) -> None:
    """Add the pieces, with the added tokens of the JSON files over them, padded to `vocab_size`."""
    pieces = _pieces(files)
    size = vocab_size or len(pieces)
    tokens = [f"[PAD{i}]" for i in range(size)]
    scores = [_UNUSED_SCORE] * size
    types = [TokenType.UNUSED] * size
    for i, (token, score, type_) in enumerate(pieces[:size]):
        tokens[i], scores[i], types[i] = token, score, type_
    for i, token, type_ in _added_tokens(files):
        if i < size:
            tokens[i], scores[i], types[i] = token, _ADDED_SCORE, type_

    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    read_special_tokens(files, vocab_size=size).add_to(writer)


def _pieces(files: TokenizerFiles) -> list[tuple[str, float, TokenType]]:
    """Text, score and type of each piece of tokenizer.model."""
    path = files.checked_path(NAME)
    processor = SentencePieceProcessor()
    try:
        processor.LoadFromFile(str(path))
        return [
            (processor.IdToPiece(i), processor.GetScore(i), _piece_type(processor, i))
            for i in range(processor.vocab_size())
        ]
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not a SentencePiece model; check the download.") from error


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


def _added_tokens(files: TokenizerFiles) -> Iterator[tuple[int, str, TokenType]]:
    """Token ids with text and type; later ones win."""
    for token, i in files.json("added_tokens.json").items():
        yield _token_id(i, files, "added_tokens.json"), token, TokenType.USER_DEFINED
    for key, entry in mapping(files.tokenizer_config.get("added_tokens_decoder")).items():
        i = _token_id(key, files, "tokenizer_config.json")
        content = mapping(entry).get("content")
        if not isinstance(content, str):
            raise CheckpointError(
                f"added token {i} in {files.path('tokenizer_config.json')} has no text; check the download."
            )
        if entry.get("special") or looks_like_control(content):
            yield i, content, TokenType.CONTROL
        else:
            yield i, content.replace(BOUNDARY, " "), TokenType.USER_DEFINED


def _token_id(value: object, files: TokenizerFiles, name: str) -> int:
    try:
        i = int(value) if isinstance(value, (int, str)) else -1
    except ValueError:
        i = -1
    if i < 0:
        raise CheckpointError(f"{files.path(name)} has an added token with the id {value!r}, which is no token id.")
    return i
