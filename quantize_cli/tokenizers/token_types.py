"""The types of tokens in a GGUF file, and helpers that tell them for several kinds of vocabulary."""

from __future__ import annotations

from enum import IntEnum


class TokenType(IntEnum):
    """The values of `tokenizer.ggml.token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


#: Added tokens that control the model although their files do not mark them special (DeepSeek Coder, Gemma).
_CONTROL = frozenset({"<pad>", "<mask>", "<2mass>", "[@BOS@]"})
_CONTROL_BRACKETS = (("<|", "|>"), ("<｜", "｜>"), ("<unused", ">"))

#: The score of a token without a use, where tokens have scores.
PAD_SCORE = -10000.0

#: SentencePiece's word boundary, U+2581.
BOUNDARY = "▁"


def looks_like_control(token: str) -> bool:
    """Tell whether an added token is a control token although it is not marked special."""
    return token in _CONTROL or any(
        token.startswith(left) and token.endswith(right) for left, right in _CONTROL_BRACKETS
    )


def padding(size: int) -> list[str]:
    """Return the texts of `size` tokens without a use, which make the vocabulary as large as the embedding."""
    return [f"[PAD{i}]" for i in range(size)]
