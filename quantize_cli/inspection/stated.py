"""What config.json states by itself, for every class of models; a value that is wrong counts as missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.config import Config
from quantize_cli.architectures.defaults import with_defaults
from quantize_cli.architectures.families.table import BASE_CLASSES, CLASSES_OF_TYPES, FAMILIES
from quantize_cli.architectures.model import Model
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.encodings.methods import of_all_groups
from quantize_cli.checkpoints.sidecars import Json, read_object
from quantize_cli.errors import QuantizeError
from quantize_cli.gguf_file.fields import Field, ValueType, field

#: An architecture that stands for all in keys, where the class is not known.
ANY = "any"

#: Sections of config.json that tell of a quantization.
_SECTIONS = ("quantization_config", "compression_config", "quantization")
#: The most values of a section, and the longest text among them, that are shown.
_MOST, _LONGEST = 16, 80


def read_config(checkpoint: Checkpoint) -> Mapping[str, Json]:
    """Return the content of config.json, which is empty if the file is missing or damaged."""
    with suppress(QuantizeError):
        return read_object(checkpoint.sidecars, "config.json")
    return {}


def class_name(values: Mapping[str, Json]) -> str | None:
    """Return the class of the whole model, or of its text part, or that of its model_type."""
    for part in _parts(values):
        classes = part.get("architectures")
        if isinstance(classes, list) and classes and isinstance(classes[0], str):
            return classes[0]
    kinds = [part.get("model_type") for part in _parts(values)]
    return next((CLASSES_OF_TYPES[kind] for kind in kinds if isinstance(kind, str) and kind in CLASSES_OF_TYPES), None)


def architecture(name: str | None) -> str | None:
    """Return the GGUF name of a class's architecture, or None for a class that is not supported."""
    family = None if name is None else FAMILIES.get(BASE_CLASSES.get(name, name))
    return None if family is None else family.architecture


def common_fields(values: Mapping[str, Json], checkpoint: Checkpoint) -> Iterator[Field]:
    """Yield the metadata that most families make of config.json, under the architecture `ANY`."""
    config = Config(checkpoint.sidecars.where("config.json"), _with_defaults(values))
    model = Model(checkpoint.name, ANY, config, checkpoint.sidecars, checkpoint.infos)
    for row in COMMON:
        with suppress(QuantizeError):
            made = row.field(model)
            if made is not None:
                yield made
    with suppress(QuantizeError):
        if (size := config.integer("vocab_size")) is not None:
            yield field(f"{ANY}.vocab_size", ValueType.UINT32, size)


def _with_defaults(values: Mapping[str, Json]) -> Mapping[str, Json]:
    with suppress(QuantizeError):
        return with_defaults(values)
    return values


def quantization(values: Mapping[str, Json]) -> tuple[str | None, dict[str, Any]] | None:
    """Return the method and the plain settings of the quantization that config.json states."""
    for name in _SECTIONS:
        for part in _parts(values):
            section = part.get(name)
            if isinstance(section, dict) and section:
                method = section.get("quant_method")
                stated = {**section, **of_all_groups(section)}
                plain = [(key, value) for key, value in stated.items() if key != "quant_method" and _is_plain(value)]
                return (method if isinstance(method, str) else None), dict(plain[:_MOST])
    return None


def _is_plain(value: Json) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= _LONGEST)


def _parts(values: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    yield values
    if isinstance(text := values.get("text_config"), dict):
        yield text
