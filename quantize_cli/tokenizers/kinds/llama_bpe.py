"""BPE vocabularies with byte tokens (LLaMA 2, Mistral) from tokenizer.json, for models without a tokenizer.model."""

from __future__ import annotations

import re
from dataclasses import replace

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.json_values import mapping
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.fit import cut_tokens, left_out
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.token_types import PAD_SCORE, TokenType, padding
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

_SCORE = -1000.0  #: of every token, because tokenizer.json does not have scores
BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")  #: the text of a byte token


def has_byte_tokens(source: Source) -> bool:
    """Tell whether tokenizer.json is a SentencePiece BPE vocabulary in disguise."""
    model = mapping(source.tokenizer.get("model"))
    decoder = mapping(source.tokenizer.get("decoder"))
    return model.get("type") == "BPE" and bool(model.get("byte_fallback")) and decoder.get("type") == "Sequence"


def read_tokens(source: Source) -> Tokens:
    """Read the tokens, padded to the model's rows; the reference does not pad, and its file does not load then."""
    file = source.tokenizer_file
    by_id = {**dict(file.tokens()), **{token.id: token.text for token in file.added}}
    base = len(file.texts)
    missing = next((i for i in range(base) if i not in by_id), None)
    if missing is not None:
        raise CheckpointError(
            f"{source.where(TOKENIZER_JSON)} does not have a token with the id {missing}; download it again."
        )
    size = len(by_id) if source.rows is None else source.rows
    cut = cut_tokens(source, size)
    tokens, scores, types = padding(size), [PAD_SCORE] * size, [TokenType.UNUSED] * size
    for i, token in by_id.items():
        if i < size:
            tokens[i], scores[i] = token, _SCORE
            types[i] = _type(token, file.special, added=i >= base)
    return Tokens(
        "llama",
        "default",
        tokens,
        types,
        scores,
        id_limit=size,
        origins={token.id: token.origin for token in file.added if token.origin},
        notes=(*file.notes, *left_out(cut, size)),
    )


def _type(token: str, special: frozenset[str], *, added: bool) -> TokenType:
    if not added and BYTE.fullmatch(token):
        return TokenType.BYTE
    if token in special:
        return TokenType.CONTROL
    return TokenType.USER_DEFINED if added else TokenType.NORMAL


def _read(source: Source) -> Tokens:
    found = read_tokens(source)
    note = (
        f"{source.where(TOKENIZER_JSON)} does not have scores, so all tokens get the same one, as from llama.cpp's "
        "converter, and llama.cpp may split words in another way than the model's own tokenizer; put tokenizer.model "
        "beside it, if the model's repository has one."
    )
    return replace(found, notes=(*found.notes, note))


LLAMA_BPE = Kind(TOKENIZER_JSON, has_byte_tokens, _read)
