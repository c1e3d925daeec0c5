"""Fixtures of the tokenizers' tests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from quantize_cli.tokenizers import tokenizer_file
from quantize_cli.tokenizers.child.main import answer
from quantize_cli.tokenizers.sandbox import Limits


@pytest.fixture
def without_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read tokenizer.json in this process, for tests that read hundreds of sound ones, or that change a table."""

    def here(request: bytes, what: str, limits: Limits, packages: Sequence[str]) -> bytes:
        return answer(request)

    monkeypatch.setattr(tokenizer_file, "in_child", here)
