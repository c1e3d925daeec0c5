"""Random choices that are the same with every version of Python."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Choices that follow from a name alone.

    Of the methods of `random.Random`, only `random()` is promised to give the same numbers in later versions.
    """

    def __init__(self, name: str) -> None:
        self._random = Random(name).random

    def number(self, first: int, last: int) -> int:
        """Return a whole number from `first` to `last`, both included."""
        return first + int(self._random() * (last - first + 1))

    def one(self, values: Sequence[T]) -> T:
        """Return one of the values."""
        return values[self.number(0, len(values) - 1)]

    def share(self) -> float:
        """Return a number from 0 to 1."""
        return self._random()
