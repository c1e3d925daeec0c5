"""What several kinds of vocabulary share in telling a token's type."""

from __future__ import annotations

#: Added tokens that control the model although their files do not mark them special (DeepSeek Coder, Gemma).
_CONTROL = frozenset({"<pad>", "<mask>", "<2mass>", "[@BOS@]"})
_CONTROL_BRACKETS = (("<|", "|>"), ("<｜", "｜>"), ("<unused", ">"))

#: SentencePiece's word boundary, U+2581.
BOUNDARY = "▁"


def looks_like_control(token: str) -> bool:
    """Whether an added token that is not marked special is a control token nevertheless."""
    return token in _CONTROL or any(
        token.startswith(left) and token.endswith(right) for left, right in _CONTROL_BRACKETS
    )
