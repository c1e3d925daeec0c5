"""Documents and the tokens that are made of them, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Part(StrEnum):
    """What a document serves for; no document serves for two."""

    CALIBRATE = "A"
    CHOOSE = "B"
    REPORT = "C"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side of a conversation says."""

    role: str  #: "system", "user" or "assistant"
    content: str


@dataclass(frozen=True, slots=True)
class Document:
    """One text; its kind is that of all texts like it, and figures are told by kind."""

    name: str
    kind: str  #: "prose", "chat", "code", "mathematics", "scripts", "json"; of a user's file, the file's name
    content: str | tuple[Turn, ...]  #: turns are spelled by the model's chat template


@dataclass(frozen=True, slots=True)
class TextRecord:
    """What stands in a file about the tokens of one kind."""

    kind: str
    documents: tuple[str, ...]
    tokens: int
    sha256: str  #: of the token ids, as little-endian int32


@dataclass(frozen=True, eq=False, slots=True)
class Sequences:
    """Tokens in rows of one length, with the kind of text that each is of."""

    tokens: NDArray[np.int32]  #: int32[sequences, context]
    kinds: tuple[str, ...]  #: one for each sequence
    records: tuple[TextRecord, ...]  #: one for each kind, in the order of the sequences
