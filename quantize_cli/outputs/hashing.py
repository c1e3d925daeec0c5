"""SHA-256 of what is written."""

from __future__ import annotations

import hashlib
from typing import Protocol


class Digest(Protocol):
    """What `hashlib.sha256` returns."""

    def update(self, data: bytes | memoryview, /) -> None: ...  # noqa: D102
    def digest(self) -> bytes: ...  # noqa: D102
    def hexdigest(self) -> str: ...  # noqa: D102
    def copy(self) -> Digest: ...  # noqa: D102


def new_digest() -> Digest:
    """Begin a file."""
    return hashlib.sha256()
