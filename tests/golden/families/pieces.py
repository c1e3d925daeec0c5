"""What the small vocabularies hold: bytes, letters, and the pieces that a few words are merged from."""

from __future__ import annotations

#: What the merges spell, letter by letter; a space is the first letter of the words that follow one.
WORDS = (" the", " and", " of", " to", "ing", "er", " fox", " quick", "ation")

BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
LETTERS = ("▁", *"abcdefghijklmnopqrstuvwxyz.,!?")


def merges(space: str) -> list[tuple[str, str]]:
    """Return the merges that join WORDS, `space` being the letter of a space."""
    found: dict[tuple[str, str], None] = {}
    for word in WORDS:
        letters = word.replace(" ", space)
        for end in range(1, len(letters)):
            found[letters[:end], letters[end]] = None
    return list(found)
