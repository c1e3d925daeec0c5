"""What llama.cpp's loader refuses in a vocabulary (src/llama-vocab.cpp, `llama_vocab::impl::load`)."""

from __future__ import annotations

from quantize_cli.errors import CheckpointError, shown
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.token_types import TokenType

#: The pre-tokenizers whose vocabulary may lack merges.
_WITHOUT_MERGES = frozenset({"kimi-k2"})
#: The values of tokenizer.ggml.model that go with merges.
_OF_MERGES = frozenset({"gpt2", "gemma4"})
_BYTE_LETTERS = 3  #: the loader takes the digits behind "<0x"


def check_loads(tokens: Tokens, kind: Kind, source: Source) -> None:
    """Refuse a vocabulary that llama.cpp would not load.

    Raises:
        CheckpointError: Two tokens have the same text, a byte token does not name a byte, or merges are missing.
    """
    where = source.where(kind.file)
    if tokens.model in _OF_MERGES and not tokens.merges and tokens.pre not in _WITHOUT_MERGES:
        raise CheckpointError(
            f"{where} does not have merges, which BPE needs; download it again, with the merges.txt of its repository."
        )
    held = [_as_held(i, text) for i, text in enumerate(tokens.tokens)]
    for i, (text, type_) in enumerate(zip(held, tokens.types, strict=True)):
        if type_ is TokenType.BYTE and len(text.encode()) < _BYTE_LETTERS:
            raise CheckpointError(
                f"{where} marks the token {shown(text)} with the id {i} as a byte, but its text does not name one, as "
                "<0x0A> does; download it again."
            )
    if len(set(held)) < len(held):
        first: dict[str, int] = {}
        i = next(i for i, text in enumerate(held) if first.setdefault(text, i) != i)
        one = first[held[i]]
        raise CheckpointError(
            f"The tokens {one} of {tokens.origins.get(one, where)} and {i} of {tokens.origins.get(i, where)} are both "
            f"{shown(tokens.tokens[i])} to llama.cpp, which does not load that; remove one, or download the files "
            "again."
        )


def _as_held(i: int, text: str) -> str:
    """Return a token's text as llama.cpp holds it: up to a zero byte, and never empty."""
    return text.partition("\0")[0] or f"[EMPTY_{i}]"
