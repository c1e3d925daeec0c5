"""Fields collected with the `gguf` package's writer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gguf import GGUFValueType, GGUFWriter

from quantize_cli.gguf_file.fields import Field, ValueType


def new_writer(arch: str) -> GGUFWriter:
    """A GGUFWriter with no file behind it: it only collects metadata, `general.architecture` first."""
    return GGUFWriter(path=None, arch=arch)


def collected_fields(writer: GGUFWriter) -> tuple[Field, ...]:
    """What `writer` has collected, in the order the keys were first added."""
    return tuple(
        _field(key, held.type, _frozen(held.value), held.sub_type)
        for part in writer.kv_data
        for key, held in part.items()
    )


def write_fields(writer: GGUFWriter, fields: Iterable[Field]) -> None:
    """Add fields to what `writer` has collected."""
    for field in fields:
        value = list(field.value) if field.type is ValueType.ARRAY else field.value
        writer.add_key_value(field.key, value, GGUFValueType(field.type))


def _field(key: str, type_: int, value: Any, item: int | None) -> Field:
    if type_ == ValueType.ARRAY and item is None:
        item = int(GGUFValueType.get_type(value[0]))
    return Field(key, ValueType(type_), value, None if item is None else ValueType(item))


def _frozen(value: Any) -> Any:
    is_array = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return tuple(value) if is_array else value
