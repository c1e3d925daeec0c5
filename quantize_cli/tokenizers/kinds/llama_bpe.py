"""BPE vocabularies with byte tokens (LLaMA 2, Mistral) from tokenizer.json, where there is no tokenizer.model."""

from __future__ import annotations

import re

from gguf import GGUFWriter, TokenType

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers import hf_json
from quantize_cli.tokenizers.files import TokenizerFiles, mapping
from quantize_cli.tokenizers.special_tokens import read_special_tokens

NAME = hf_json.NAME
TAKES_PRE_TOKENIZER = False

_SCORE = -1000.0  #: tokenizer.json has no scores
_BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")


def applies(files: TokenizerFiles) -> bool:
    """Whether tokenizer.json is a SentencePiece BPE vocabulary in disguise."""
    model = mapping(files.tokenizer.get("model"))
    decoder = mapping(files.tokenizer.get("decoder"))
    return model.get("type") == "BPE" and bool(model.get("byte_fallback")) and decoder.get("type") == "Sequence"


def add(writer: GGUFWriter, files: TokenizerFiles, _: int | None, __: str | None) -> None:
    """Add the tokens; as in the reference, the vocabulary is not padded to config.json's `vocab_size`."""
    mapping(files.tokenizer.get("model")).pop("merges", None)
    tokens, types = _tokens(files)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([_SCORE] * len(tokens))
    writer.add_token_types(types)
    read_special_tokens(files, vocab_size=len(tokens)).add_to(writer)


def _tokens(files: TokenizerFiles) -> tuple[list[str], list[TokenType]]:
    tokenizer = hf_json.load(files)
    by_id = {i: token for token, i in tokenizer.backend.get_vocab(with_added_tokens=True).items()}
    base = tokenizer.backend.get_vocab_size(with_added_tokens=False)
    missing = next((i for i in range(base) if i not in by_id), None)
    if missing is not None:
        raise CheckpointError(f"{files.path(NAME)} has no token with the id {missing}; check the download.")
    tokens = [by_id[i] for i in range(base)]
    types = [_base_type(token, tokenizer.special_tokens) for token in tokens]
    for i in sorted(i for i in by_id if i >= base):
        tokens.append(by_id[i])
        types.append(TokenType.CONTROL if by_id[i] in tokenizer.special_tokens else TokenType.USER_DEFINED)
    return tokens, types


def _base_type(token: str, special: frozenset[str]) -> TokenType:
    if _BYTE.fullmatch(token):
        return TokenType.BYTE
    return TokenType.CONTROL if token in special else TokenType.NORMAL
