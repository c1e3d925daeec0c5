"""The metadata that a plan adds to the description's, in llama-quantize's order (src/llama-quant.cpp)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from quantize_cli.architectures.description import ModelDescription
from quantize_cli.errors import UsageError, shown
from quantize_cli.gguf_file.fields import Field, ValueType, with_fields
from quantize_cli.mixes.base import Mix
from quantize_cli.planning.options import PlanOptions

#: general.quantization_version (ggml.h, GGML_QNT_VERSION).
_QUANTIZATION_VERSION = 2

#: llama_model_kv_override::val_str, less its final zero.
_MAX_TEXT_BYTES = 127


def uint32(key: str, value: int) -> Field:
    """Make a field of that type."""
    return Field(key, ValueType.UINT32, value)


def final_metadata(description: ModelDescription, mix: Mix, options: PlanOptions, layers: int) -> tuple[Field, ...]:
    """Return the reference's fields, but those that tell the parts of a split file apart; `layers` are those left."""
    added = [uint32("general.quantization_version", _QUANTIZATION_VERSION), uint32("general.file_type", mix.file_type)]
    added += options.metadata
    if options.importance is not None:
        added += options.importance.metadata_fields()
    if options.prune_layers:
        architecture = next(field.value for field in description.metadata if field.key == "general.architecture")
        added.append(uint32(f"{architecture}.block_count", layers))
    return with_fields(description.metadata, added)


def parse_override(text: str) -> Field:
    """Parse KEY=TYPE:VALUE; TYPE is int, float, bool or str (common/common.cpp, `string_parse_kv_override`).

    Raises:
        UsageError: The text is of another form, or its value is not of its type.
    """
    key, _, typed = text.partition("=")
    type_name, colon, value = typed.partition(":")
    if not key or not colon or type_name not in _OVERRIDES:
        raise UsageError(
            f"{shown(text)} is not of the form KEY=TYPE:VALUE with TYPE one of {', '.join(_OVERRIDES)}; write it as in "
            "tokenizer.ggml.bos_token_id=int:1."
        )
    field_type, convert, expected = _OVERRIDES[type_name]
    try:
        return Field(key, field_type, convert(value))
    except ValueError:
        raise UsageError(
            f"{shown(text)} cannot be set, because {shown(value)} is not {expected}; correct it."
        ) from None


def _unsigned(text: str) -> int:
    """Parse an integer as the reference does, which keeps the magnitude in 32 bits."""
    number = abs(int(text))
    if number >= 1 << 32:
        raise ValueError
    return number


def _float32(text: str) -> float:
    number = float(text)
    try:
        struct.pack("<f", number)
    except OverflowError:
        raise ValueError from None
    return number


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _text(text: str) -> str:
    if len(text.encode()) > _MAX_TEXT_BYTES:
        raise ValueError
    return text


#: TYPE -> the field's type, what makes its value of the text, and which texts it takes.
_OVERRIDES: dict[str, tuple[ValueType, Callable[[str], object], str]] = {
    "int": (ValueType.UINT32, _unsigned, "an integer of at most 32 bits"),
    "float": (ValueType.FLOAT32, _float32, "a number that 32 bits can hold"),
    "bool": (ValueType.BOOL, _boolean, "true or false"),
    "str": (ValueType.STRING, _text, f"text of at most {_MAX_TEXT_BYTES} bytes"),
}
