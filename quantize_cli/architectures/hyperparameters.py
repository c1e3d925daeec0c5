"""A model's hyperparameters by the names that its architecture gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quantize_cli.gguf_file.fields import Field, ValueType


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The metadata of one model; a key is without the architecture's name and the dot behind it."""

    fields: Mapping[str, Field]  #: all fields of the file, by their whole keys
    architecture: str

    def held(self, key: str) -> Field | None:
        """Return a field, or None if the key is missing."""
        return self.fields.get(f"{self.architecture}.{key}")

    def natural(self, key: str) -> int | None:
        """Return a whole number, the largest of an array with an item for each layer; None if the key is missing."""
        held = self.held(key)
        if held is None:
            return None
        return int(max(held.value) if held.type is ValueType.ARRAY else held.value)

    def first(self, key: str) -> int | None:
        """Return a whole number, the first layer's of an array; None if the key is missing."""
        held = self.held(key)
        if held is None:
            return None
        return int(held.value[0] if held.type is ValueType.ARRAY else held.value)

    def items(self, key: str) -> tuple[int, ...]:
        """Return the items of an array; none if the key is missing or not an array."""
        held = self.held(key)
        return tuple(held.value) if held is not None and held.type is ValueType.ARRAY else ()

    def text(self, key: str) -> str | None:
        """Return a text; None if the key is missing."""
        held = self.held(key)
        return None if held is None else str(held.value)
