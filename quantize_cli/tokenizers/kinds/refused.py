"""A vocabulary that the reference stores in a special way, and that this version refuses."""

from __future__ import annotations

from typing import NoReturn

from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers.kinds.base import Kind
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

_CONFIG = "tokenizer_config.json"


def _is_hybrid_dna(source: Source) -> bool:
    return source.tokenizer_config.get("tokenizer_class") == "HybridDNATokenizer"


def _refuse_hybrid_dna(source: Source) -> NoReturn:
    raise UnsupportedError(
        f"{source.where(_CONFIG)} names HybridDNATokenizer, which is not supported; take another model."
    )


HYBRID_DNA = Kind(TOKENIZER_JSON, _is_hybrid_dna, _refuse_hybrid_dna, has_pre_tokenizer=True)
