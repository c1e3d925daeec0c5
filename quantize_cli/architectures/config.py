"""config.json with defaults filled in. Everything in it is untrusted, so the getters check what they return."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from quantize_cli.checkpoints.sidecars import Json
from quantize_cli.errors import CheckpointError, shown

#: GGUF keeps sizes as UINT32 and numbers as FLOAT32.
MAX_INTEGER = 2**32 - 1
MAX_NUMBER = 3e38


@dataclass(frozen=True, slots=True)
class Config:
    """Hyperparameters of a model, or a section of them.

    Every getter takes the names of a value. The first name that is present counts, as in the reference; None means
    absent or null. A getter raises CheckpointError if a value is of the wrong type or out of range.
    """

    where: str  #: the file's name in messages
    values: Mapping[str, Json]

    def get(self, *names: str) -> Json:
        """Return the value as it stands."""
        return next((self.values[name] for name in names if name in self.values), None)

    def integer(self, *names: str, maximum: int = MAX_INTEGER) -> int | None:
        """Return a size or count, 1 to `maximum`."""
        value = self.get(*names)
        if value is not None and not (type(value) is int and 1 <= value <= maximum):
            raise self.error(names, f"a whole number from 1 to {maximum}")
        return value

    def natural(self, *names: str) -> int | None:
        """Return a whole number, 0 to MAX_INTEGER."""
        value = self.get(*names)
        if value is not None and not (type(value) is int and 0 <= value <= MAX_INTEGER):
            raise self.error(names, f"a whole number from 0 to {MAX_INTEGER}")
        return value

    def number(self, *names: str) -> float | None:
        """Return a number, 0 to MAX_NUMBER."""
        value = self.get(*names)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 <= value <= MAX_NUMBER:
            raise self.error(names, f"a number from 0 to {MAX_NUMBER}")
        return float(value)

    def required(self, *names: str, maximum: int = MAX_INTEGER) -> int:
        """Return an `integer` that must be present."""
        value = self.integer(*names, maximum=maximum)
        if value is None:
            raise CheckpointError(
                f"{self.where} lacks {' or '.join(names)}, which the model needs; take its whole config.json."
            )
        return value

    def text(self, *names: str) -> str | None:
        """Return a string."""
        value = self.get(*names)
        if value is not None and not isinstance(value, str):
            raise self.error(names, "text")
        return value

    def flag(self, *names: str) -> bool | None:
        """Return true or false."""
        value = self.get(*names)
        if value is not None and not isinstance(value, bool):
            raise self.error(names, "true or false")
        return value

    def texts(self, *names: str) -> list[str] | None:
        """Return a list of strings."""
        value = self.get(*names)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise self.error(names, "a list of texts")
        return value

    def numbers(self, *names: str) -> list[float] | None:
        """Return a list of numbers, or None if it is missing."""
        value = self.get(*names)
        if value is None:
            return None
        if not isinstance(value, list) or not all(type(item) in (int, float) and math.isfinite(item) for item in value):
            raise self.error(names, "a list of numbers")
        return [float(item) for item in value]

    def naturals(self, *names: str) -> list[int] | None:
        """Return a list of whole numbers, 0 to MAX_INTEGER."""
        value = self.get(*names)
        if value is None:
            return None
        if not isinstance(value, list) or not all(type(item) is int and 0 <= item <= MAX_INTEGER for item in value):
            raise self.error(names, f"a list of whole numbers from 0 to {MAX_INTEGER}")
        return value

    def section(self, *names: str) -> Config:
        """Return an object inside the config, which is empty if it is absent or null."""
        value = self.get(*names)
        if value is not None and not isinstance(value, dict):
            raise self.error(names, "an object")
        return Config(self.where, value or {})

    def error(self, names: tuple[str, ...], wanted: str) -> CheckpointError:
        """Return the error to raise for a wrong value."""
        name = next(name for name in names if name in self.values)
        return CheckpointError(
            f"{self.where} gives {name} as {shown(self.values[name])}, but it must be {wanted}; download it again."
        )
