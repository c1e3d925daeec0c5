"""Vocabularies that the reference stores in special ways, and that this version refuses."""

from __future__ import annotations

from typing import NoReturn

from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers.kinds.base import Kind
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

_TEKKEN_JSON = "tekken.json"
_CONFIG = "tokenizer_config.json"


def _is_tekken(source: Source) -> bool:
    return source.has(_TEKKEN_JSON) and not source.has(TOKENIZER_JSON)


def _refuse_tekken(source: Source) -> NoReturn:
    raise UnsupportedError(
        f"{source.where(_TEKKEN_JSON)} is Mistral's own tokenizer format, which is not supported yet; "
        "put the tokenizer.json of the model's repository beside it."
    )


def _is_hybrid_dna(source: Source) -> bool:
    return source.tokenizer_config.get("tokenizer_class") == "HybridDNATokenizer"


def _refuse_hybrid_dna(source: Source) -> NoReturn:
    raise UnsupportedError(
        f"{source.where(_CONFIG)} names HybridDNATokenizer, which is not supported; take another model."
    )


TEKKEN = Kind(TOKENIZER_JSON, _is_tekken, _refuse_tekken, has_pre_tokenizer=True)
HYBRID_DNA = Kind(TOKENIZER_JSON, _is_hybrid_dna, _refuse_hybrid_dna, has_pre_tokenizer=True)
