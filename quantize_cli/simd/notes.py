"""Sentences for the user about the cache of kernels: whoever watches a run asks for them."""

from __future__ import annotations

_told: dict[str, bool] = {}
_fresh: list[str] = []


def note(sentence: str, *, lost: bool) -> None:
    """Keep a sentence, the first time that it comes; `lost` tells whether machine code is lost to later runs."""
    if sentence not in _told:
        _told[sentence] = lost
        _fresh.append(sentence)


def anything_lost() -> bool:
    """Tell whether machine code that this process has compiled is lost to later ones."""
    return any(_told.values())


def take_notes() -> list[str]:
    """Return the sentences that came since the last call."""
    taken = _fresh.copy()
    _fresh.clear()
    return taken
