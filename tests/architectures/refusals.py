"""How tests assert that a description is refused."""

from __future__ import annotations

import pytest

from quantize_cli.architectures.describe import describe
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.errors import QuantizeError


def refuse(checkpoint: Checkpoint, kind: type[QuantizeError], *words: str) -> str:
    """Assert that `checkpoint` is refused in one sentence of that kind, which has these words; return it."""
    with pytest.raises(kind) as caught:
        describe(checkpoint)
    assert type(caught.value) is kind
    message = one_sentence(caught.value)
    assert all(word in message for word in words), message
    return message


def one_sentence(error: QuantizeError) -> str:
    """Assert that an error is a sentence that can be printed as it is; return it."""
    message = str(error)
    assert message.isprintable()
    assert message.endswith(".")
    assert len(message) < 1200
    return message
