"""Metadata as rows of values: key, type, and source of the value.

A family's metadata is a tuple of rows. A key that is written twice keeps its first place and its last value, so a
family changes a common row by its own row after the common ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from quantize_cli.architectures.model import Model
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import Field, ValueType, array, field

#: A value, or a function of the model that returns a value. A key whose value is None is not written.
Source: TypeAlias = Callable[[Model], Any] | float | str | bool | None


_NUMBERS = frozenset({ValueType.UINT32, ValueType.FLOAT32})


@dataclass(frozen=True, slots=True)
class Row:
    """One metadata key of a family."""

    key: str  #: {arch} stands for the architecture's GGUF name
    type: ValueType  #: of the value, or of each item
    names: tuple[str, ...]  #: names in config.json; the first that is present counts
    value: Source = None  #: the default; without `names`, the value
    is_array: bool = False

    def field(self, model: Model) -> Field | None:
        """Return the field that the row makes of a model, or None if there is no value.

        Raises:
            CheckpointError: The value does not fit the type.
        """
        value = model.config.get(*self.names)
        if value is None:
            value = self.value(model) if callable(self.value) else self.value
        if value is None:
            return None
        if isinstance(value, bool) and self.type in _NUMBERS:
            value = int(value)  # as the reference writes it
        key = self.key.format(arch=model.architecture)
        try:
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{key} is {value}")
            if self.is_array and not isinstance(value, list):
                raise ValueError(f"{key} is {shown(value)} instead of a list")
            return array(key, self.type, value) if self.is_array else field(key, self.type, value)
        except ValueError as error:
            named = next((name for name in self.names if name in model.config.values), None)
            what = f"gives {named} as a value" if named else "leads to a value"
            raise CheckpointError(
                f"{model.config.where} {what} that GGUF cannot hold ({error}); download it again."
            ) from error


def U32(key: str, *names: str, value: Source = None) -> Row:  # noqa: N802
    """Return a row of a size or count."""
    return Row(key, ValueType.UINT32, names, value)


def F32(key: str, *names: str, value: Source = None) -> Row:  # noqa: N802
    """Return a row of a number."""
    return Row(key, ValueType.FLOAT32, names, value)


def BOOL(key: str, *names: str, value: Source = None) -> Row:  # noqa: N802
    """Return a row of a flag."""
    return Row(key, ValueType.BOOL, names, value)


def STR(key: str, *names: str, value: Source = None) -> Row:  # noqa: N802
    """Return a row of text."""
    return Row(key, ValueType.STRING, names, value)


def ARRAY(item: ValueType, key: str, *names: str, value: Source = None) -> Row:  # noqa: N802
    """Return a row of several values of the type `item`."""
    return Row(key, item, names, value, is_array=True)


def unless_zero(*names: str) -> Source:
    """Return a number of config.json, or None if it is 0."""
    return lambda model: model.config.number(*names) or None


def fields_of(rows: Iterable[Row], model: Model) -> Iterator[Field]:
    """Yield the fields that rows make of a model, in their order.

    Raises:
        CheckpointError: A value does not fit its type.
    """
    return (made for row in rows if (made := row.field(model)) is not None)


def names_of(rows: Iterable[Row], architecture: str) -> Mapping[str, tuple[str, ...]]:
    """Return the names in config.json of every key that has some, by the key with the architecture's name."""
    return {row.key.format(arch=architecture): row.names for row in rows if row.names}
