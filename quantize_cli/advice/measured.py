"""What `quantize eval --json` has measured, as far as advice needs it; the file is untrusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from quantize_cli.checkpoints.reading import opened
from quantize_cli.checkpoints.sidecars import Json, parse_object
from quantize_cli.errors import CheckpointError, shown

#: The version of the JSON that is read; see docs/eval.md.
_SCHEMA_VERSION = 1
_MAX_BYTES = 16 << 20

Kind = TypeVar("Kind", str, int, float, list[Json], dict[str, Json])


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """One quantized model, and its divergence from the original."""

    file: str
    format: str | None
    nbytes: int
    bits_per_weight: float
    mean_kld: float  #: nats a token
    mean_kld_error: float


@dataclass(frozen=True, slots=True)
class Measurements:
    """Files against one original."""

    path: Path  #: the JSON
    original: str  #: path or Hub id
    files: tuple[MeasuredFile, ...]


def read_measurements(path: Path) -> Measurements:
    """Read the JSON of `quantize eval`.

    Raises:
        CheckpointError: The file cannot be read, or is not that.
    """
    with opened(path) as file:
        content = file.read(0, _MAX_BYTES + 1)
    try:
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
        return _measurements(path, parse_object(content))
    except ValueError as error:
        raise CheckpointError(
            f"{path} is not what `quantize eval --json` prints ({error}); give one of its files with --evaluation."
        ) from error


def _measurements(path: Path, held: Mapping[str, Json]) -> Measurements:
    if (version := _value(held, "schema_version", int)) != _SCHEMA_VERSION:
        raise ValueError(f"its schema_version is {shown(version)}, not {_SCHEMA_VERSION}")
    files = [_file(entry) for entry in _value(held, "files", list) if isinstance(entry, dict)]
    return Measurements(path, _value(held, "original", str), tuple(files))


def _file(entry: Mapping[str, Json]) -> MeasuredFile:
    figures = _value(entry, "all", dict)
    return MeasuredFile(
        file=_value(entry, "file", str),
        format=None if entry.get("format") is None else _value(entry, "format", str),
        nbytes=_value(entry, "bytes", int),
        bits_per_weight=_value(entry, "bits_per_weight", float),
        mean_kld=_value(figures, "mean_kld", float),
        mean_kld_error=_value(figures, "mean_kld_error", float),
    )


def _value(held: Mapping[str, Json], key: str, kind: type[Kind]) -> Kind:
    """Return a value of the kind; numbers are finite and not negative, and an integer serves as a float.

    Raises:
        ValueError: It is missing, or of another kind.
    """
    value = held.get(key)
    if kind is float and type(value) is int and value < 1 << 53:
        value = float(value)
    if type(value) is not kind or (isinstance(value, int | float) and not (math.isfinite(value) and value >= 0)):
        raise ValueError(f"its {key} is {shown(value)}" if key in held else f"it lacks {key}")
    return value
