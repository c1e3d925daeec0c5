"""GGUF metadata as frozen values: a key, a type, and a value that fits the type."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from quantize_cli.errors import shown


class ValueType(IntEnum):
    """The types of metadata values, as files number them (gguf.h, `enum gguf_type`)."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


#: `struct`'s letter for every type of fixed size.
NUMBERS = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "?",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One metadata key with its value; that of an array is a sequence, whose items have the type `item_type`.

    The sequence is a tuple, or, for numbers that were read from a file, an `array.array`, which takes their bytes.
    """

    key: str
    type: ValueType
    value: Any
    item_type: ValueType | None = None


def field(key: str, type: ValueType, value: object) -> Field:
    """Make a field of one value.

    Raises:
        ValueError: The value does not fit the type.
    """
    return Field(key, type, _checked(key, type, value))


def array(key: str, item_type: ValueType, values: Iterable[object]) -> Field:
    """Make a field of several values of one type.

    Raises:
        ValueError: A value does not fit the type.
    """
    items = tuple(values)
    if not _fit(item_type, items):  # a vocabulary has a million items: only then is each looked at
        items = tuple(_checked(key, item_type, value) for value in items)
    return Field(key, ValueType.ARRAY, items, item_type)


def with_fields(fields: Iterable[Field], added: Iterable[Field]) -> tuple[Field, ...]:
    """Set fields one by one; a field whose key exists moves to the end (llama-quantize's order)."""
    held = {field.key: field for field in fields}
    for new in added:
        held.pop(new.key, None)
        held[new.key] = new
    return tuple(held.values())


def merged(fields: Iterable[Field]) -> tuple[Field, ...]:
    """Keep the first place and the last value of every key (the converter's order)."""
    return tuple({field.key: field for field in fields}.values())


def _fit(wanted: ValueType, items: tuple[Any, ...]) -> bool:
    """Tell whether all items have plain types, and fit; where the answer is no, some may fit all the same."""
    kinds = {str} if wanted is ValueType.STRING else {bool} if wanted is ValueType.BOOL else {int, float}
    if not set(map(type, items)) <= kinds:
        return False
    try:
        if wanted is ValueType.STRING:
            "".join(items).encode()
        elif wanted is not ValueType.BOOL:
            struct.pack(f"<{len(items)}{NUMBERS[wanted]}", *items)
    except (UnicodeEncodeError, struct.error, OverflowError):
        return False
    return True


def _checked(key: str, type: ValueType, value: object) -> object:
    if type is ValueType.STRING:
        if not isinstance(value, str):
            raise ValueError(f"{key} is {shown(value)} instead of text")
        try:
            value.encode()
        except UnicodeEncodeError:  # JSON and YAML can spell what UTF-8 cannot
            raise ValueError(f"{key} is {shown(value)}, which is not Unicode text") from None
        return value
    if type is ValueType.BOOL:
        if not isinstance(value, bool):
            raise ValueError(f"{key} is {shown(value)} instead of true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{key} is {shown(value)} instead of a number")
    try:
        struct.pack(f"<{NUMBERS[type]}", value)
    except (struct.error, OverflowError):
        raise ValueError(f"{key} is {shown(value)}, which does not fit {type.name}") from None
    return value
