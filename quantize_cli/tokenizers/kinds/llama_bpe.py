"""BPE vocabularies with byte tokens (LLaMA 2, Mistral) from tokenizer.json, for models without a tokenizer.model."""

from __future__ import annotations

import re

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers import hf_json
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.source import TOKENIZER_JSON, Source, mapping
from quantize_cli.tokenizers.token_types import TokenType

_SCORE = -1000.0  #: tokenizer.json has no scores
_BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")


def _applies(source: Source) -> bool:
    """Tell whether tokenizer.json is a SentencePiece BPE vocabulary in disguise."""
    model = mapping(source.tokenizer.get("model"))
    decoder = mapping(source.tokenizer.get("decoder"))
    return model.get("type") == "BPE" and bool(model.get("byte_fallback")) and decoder.get("type") == "Sequence"


def _read(source: Source) -> Tokens:
    """Read the tokens; as in the reference, the vocabulary is not padded to `vocab_size`."""
    tokenizer = hf_json.load(source)
    by_id = {i: token for token, i in tokenizer.backend.get_vocab(with_added_tokens=True).items()}
    base = tokenizer.backend.get_vocab_size(with_added_tokens=False)
    missing = next((i for i in range(base) if i not in by_id), None)
    if missing is not None:
        raise CheckpointError(
            f"{source.where(TOKENIZER_JSON)} does not have a token with the id {missing}; download it again."
        )
    tokens = [by_id[i] for i in range(base)]
    types = [_base_type(token, tokenizer.special_tokens) for token in tokens]
    for i in sorted(i for i in by_id if i >= base):
        tokens.append(by_id[i])
        types.append(TokenType.CONTROL if by_id[i] in tokenizer.special_tokens else TokenType.USER_DEFINED)
    scores = [_SCORE] * len(tokens)
    return Tokens("llama", "default", tokens, types, scores, id_limit=len(tokens))


def _base_type(token: str, special: frozenset[str]) -> TokenType:
    if _BYTE.fullmatch(token):
        return TokenType.BYTE
    return TokenType.CONTROL if token in special else TokenType.NORMAL


LLAMA_BPE = Kind(TOKENIZER_JSON, _applies, _read)
