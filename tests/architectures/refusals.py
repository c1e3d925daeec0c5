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
    message = str(caught.value)
    assert type(caught.value) is kind
    assert all(word in message for word in words), message
    assert message.isprintable()
    assert message.endswith(".")
    assert len(message) < 900
    return message
