"""GGUF metadata as frozen values, gathered with the `gguf` package's own writer so that keys and types are its."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gguf import GGUFValueType, GGUFWriter


@dataclass(frozen=True, slots=True)
class Field:
    """One metadata key with its value; arrays are tuples, and `item_type` is set where the writer fixed it."""

    key: str
    type: GGUFValueType
    value: Any
    item_type: GGUFValueType | None = None


def new_writer(arch: str) -> GGUFWriter:
    """A GGUFWriter with no file behind it: it only collects metadata, `general.architecture` first."""
    return GGUFWriter(path=None, arch=arch)


def collected_fields(writer: GGUFWriter) -> tuple[Field, ...]:
    """What `writer` has collected, in the order the keys were first added."""
    return tuple(
        Field(key, held.type, _frozen(held.value), held.sub_type)
        for part in writer.kv_data
        for key, held in part.items()
    )


def _frozen(value: Any) -> Any:
    is_array = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return tuple(value) if is_array else value
