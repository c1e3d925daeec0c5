"""How much of one text is in another: a text that a model was calibrated on must not be the one it is judged by."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from quantize_cli.texts.model import Document

#: Words of a sequence that two texts hardly share by chance.
GRAM = 13

_WORD = re.compile(r"\w+")
#: The number that stands between texts.
_BORDER = 0


def overlap(ours: Iterable[Document], others: Iterable[Document], gram: int = GRAM) -> float:
    r"""Return the share of the sequences of `gram` words in `others` that stand in `ours` too, 0 to 1.

    Words are what the pattern \w+ finds in lower case. Texts with fewer words do not have such sequences, and if no
    text of `others` has one, the share is 0.
    """
    numbers: dict[str, int] = {}
    first, second = _words(ours, numbers), _words(others, numbers)
    words = np.concatenate([first, second])
    if len(words) < gram:
        return 0.0
    inside = np.convolve(words == _BORDER, np.ones(gram, np.int64), "valid") == 0
    grams = _grams(words, gram)
    # a sequence that begins in `first` meets the border that ends it, so it never reaches into `second`
    is_ours = np.arange(len(grams)) < len(first)
    theirs = grams[inside & ~is_ours]
    return float(np.isin(theirs, grams[inside & is_ours]).mean()) if len(theirs) else 0.0


def _words(documents: Iterable[Document], numbers: dict[str, int]) -> NDArray[np.int64]:
    """Return words as their numbers, with a border behind each text."""
    found: list[int] = []
    for document in documents:
        content = document.content
        for text in [content] if isinstance(content, str) else [turn.content for turn in content]:
            found += [numbers.setdefault(word, len(numbers) + 1) for word in _WORD.findall(text.lower())]
            found.append(_BORDER)
    return np.array(found, np.int64)


def _grams(words: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return for each place a number that is the same for the same `length` words.

    Sequences of twice the length are pairs of numbers, which get numbers by their rank; so nothing is hashed.
    """
    if length == 1:
        return words
    half = _grams(words, length // 2)
    pairs = half[: len(half) - length // 2] * len(words) + half[length // 2 :]
    ranks: NDArray[np.int64] = np.unique(pairs, return_inverse=True)[1]
    if length % 2 == 0:
        return ranks
    pairs = ranks[:-1] * (words.max() + 1) + words[length - 1 :]
    odd: NDArray[np.int64] = np.unique(pairs, return_inverse=True)[1]
    return odd
