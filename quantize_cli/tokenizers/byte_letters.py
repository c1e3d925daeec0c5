"""GPT-2's letters for bytes, in which byte-level BPE vocabularies are written."""

from __future__ import annotations


def letters_of(content: bytes) -> str:
    """Return one letter for each byte."""
    return content.decode("latin-1").translate(_LETTERS)


def _letters() -> dict[int, str]:
    """Return the letter of each byte that does not stand for itself: those from U+0100 on, in order."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(256 + i) for i, byte in enumerate(hidden)}


_LETTERS = _letters()
