"""The facts in a model's name: Org/Llama-3.1-8B-Instruct-v2 has a basename, a size, a finetune and a version.

The patterns and their order are those of `Metadata.get_model_id_components` in the reference's gguf-py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto


class _Kind(Enum):
    """The kind of one part of a name; parts are separated by "-"."""

    VERSION = auto()
    FILE_TYPE = auto()  #: of a quantized file; ends the basename and is left out
    SIZE = auto()
    SIZE_WORD = auto()
    FINETUNE = auto()
    PLAIN = auto()  #: of the basename at the start of the name, of the finetune later


@dataclass(frozen=True, slots=True)
class _Part:
    kind: _Kind
    text: str


#: Kind -> the pattern of a whole part; the first match wins.
_PATTERNS = {
    _Kind.VERSION: re.compile(r"(?:v|iter)?\d+(?:\.\d+)*", re.IGNORECASE),
    _Kind.FILE_TYPE: re.compile(r"i?q\d(?:_\w)*|b?fp?(?:16|32)", re.IGNORECASE),
    _Kind.SIZE: re.compile(r"((?:A|\d+x)?\d+(?:[._]\d+)?)([KMBT])(\d?)", re.IGNORECASE),
    _Kind.SIZE_WORD: re.compile(r"small|mini|medium|large|x?xl", re.IGNORECASE),
    _Kind.FINETUNE: re.compile(r"chat|instruct|vision|lora", re.IGNORECASE),
}

#: Kinds of a name's first part; one that looks like another kind is plain.
_FIRST = (_Kind.VERSION, _Kind.FILE_TYPE)

#: Units; the index of a unit is its power of 1000.
_UNITS = " KMBT"

#: A word in lower case that is not capitalized.
_VERSION_OR_NUMBER = re.compile(r"v\d+(?:\.\d+)*|\d.*")


@dataclass(frozen=True, slots=True)
class ModelName:
    """The parts of a name; a missing part is None."""

    name: str  #: without the organization
    organization: str | None = None
    basename: str | None = None
    finetune: str | None = None
    version: str | None = None
    size_label: str | None = None

    @classmethod
    def parse(cls, identity: str, parameters: int) -> ModelName:
        """Split a name into its parts.

        Args:
            identity: A Hub id, "org/name", or a name alone.
            parameters: The model's number of weights. A size that is far from it is a context length, which belongs
                to the finetune. With 0, every size is accepted.
        """
        if " " in identity:  # written for people, so its words have no fixed meaning
            return cls(identity)
        before, slash, after = identity.partition("/")
        organization = before if slash and not before.startswith(".") else None
        name = after if slash else identity

        parts = _without_redundant_words(
            [_part(text, index == 0, parameters) for index, text in enumerate(filter(None, name.split("-")))]
        )
        length = _basename_length(parts)
        rest = [_Part(_Kind.FINETUNE, part.text) if part.kind is _Kind.PLAIN else part for part in parts[length:]]
        sizes = dict.fromkeys(part.text for part in rest if part.kind is _Kind.SIZE)
        found = cls(
            name,
            organization,
            basename="-".join(part.text for part in parts[:length]) or None,
            finetune="-".join(part.text for part in rest if part.kind is _Kind.FINETUNE) or None,
            version="-".join(part.text for part in rest if part.kind is _Kind.VERSION) or None,
            size_label="-".join(sizes) or None,
        )
        # A basename without other parts only repeats the name.
        return found if found.finetune or found.version or found.size_label else cls(name, organization)

    def facts(self) -> dict[str, str | None]:
        """Return the facts that GGUF keeps, by the last part of the key (`name` for general.name)."""
        return {
            "name": titled(self.name),
            "organization": None if self.organization is None else titled(self.organization),
            "basename": self.basename,
            "finetune": self.finetune,
            "version": self.version,
            "size_label": self.size_label,
        }


def titled(text: str) -> str:
    """Write "tiny-model-v1" as a title, "Tiny Model v1"; a word that has a capital stays as it is."""
    return " ".join(
        word.title() if word.islower() and not _VERSION_OR_NUMBER.fullmatch(word) else word
        for word in text.replace("-", " ").split()
    )


def _part(text: str, first: bool, parameters: int) -> _Part:
    for kind, pattern in _PATTERNS.items():
        match = pattern.fullmatch(text)
        if match and (kind in _FIRST or not first):
            return _size(match, parameters) if kind is _Kind.SIZE else _Part(kind, text)
    return _Part(_Kind.PLAIN, text)


def _size(match: re.Match[str], parameters: int) -> _Part:
    """Write a size in one way: 7b, 1_5B and 7b1 (BLOOM's 7.1 billion) are 7B, 1.5B and 7.1B."""
    number, unit, decimal = match.groups()
    number = number.replace("_", ".") + (f".{decimal}" if decimal else "")
    if parameters and _is_far(number, unit.upper(), parameters):
        return _Part(_Kind.FINETUNE, number + unit.lower())
    return _Part(_Kind.SIZE, number + unit.upper())


def _is_far(number: str, unit: str, parameters: int) -> bool:
    try:
        stated = float(number) * 1000.0 ** _UNITS.find(unit)
    except ValueError:  # 8x7B and A3B do not count all weights
        return False
    return abs(stated - parameters) > 7 * parameters // 8


def _without_redundant_words(parts: list[_Part]) -> list[_Part]:
    """Turn words into sizes if there is no size in numbers, and into plain words if there is one."""
    sized = any(part.kind is _Kind.SIZE for part in parts)
    kind = _Kind.PLAIN if sized else _Kind.SIZE
    return [_Part(kind, part.text) if part.kind is _Kind.SIZE_WORD else part for part in parts]


def _basename_length(parts: list[_Part]) -> int:
    """Count the parts of the basename: words and versions from the start, but not versions that end the name."""
    length = 0
    while length < len(parts) and (
        parts[length].kind is _Kind.VERSION or (parts[length].kind is _Kind.PLAIN and parts[length].text[0].isalpha())
    ):
        length += 1
    if length == len(parts):
        while length and parts[length - 1].kind is _Kind.VERSION:
            length -= 1
    return length
