"""Texts that were written for this package; `data/` has a file for each kind."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from quantize_cli.texts.model import Document, Turn

_DATA = Path(__file__).parent / "data"
#: How the line begins that has a document's name.
_HEADING = "=== "
#: How the line begins that tells whose turn follows.
_ROLE = "@"

_ROLES = ("system", "user", "assistant")
_CHAT = "chat"


@cache
def written(kind: str) -> tuple[Document, ...]:
    """Return the documents of a kind, in the order of the file."""
    _, *parts = ("\n" + (_DATA / f"{kind}.txt").read_text("utf-8")).split(f"\n{_HEADING}")
    return tuple(_document(kind, *part.split("\n", 1)) for part in parts)


def _document(kind: str, name: str, text: str) -> Document:
    text = text.strip("\n")
    return Document(f"{kind}/{name}", kind, _turns(text) if kind == _CHAT else text)


def _turns(text: str) -> tuple[Turn, ...]:
    """Read a conversation: each turn begins with a line that has its role."""
    turns: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        role = line.removeprefix(_ROLE)
        if role != line and role in _ROLES:
            turns.append((role, []))
        else:
            turns[-1][1].append(line)
    return tuple(Turn(role, "\n".join(lines).strip("\n")) for role, lines in turns)
