"""The small files beside the weights: config.json, generation_config.json, README.md; everything here is untrusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import gguf
import yaml

from quantize_cli.errors import CheckpointError

#: Whatever a JSON file may hold.
Json: TypeAlias = Any

#: No configuration file or model card of a real model comes near this.
MAX_FILE_BYTES = 16 << 20

#: GGUF keeps sizes as UINT32 and numbers as FLOAT32.
MAX_INTEGER = 2**32 - 1
MAX_NUMBER = 3e38


def read_text(path: Path) -> str:
    """Text of a small UTF-8 file; raises CheckpointError where it is not one or is larger than MAX_FILE_BYTES."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise CheckpointError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB, so it cannot be a {path.name}.")
        return content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as UTF-8 text: {error}.") from error


def read_json(path: Path) -> Json:
    """Value of a small JSON file; raises CheckpointError where it cannot be read or is not JSON."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): download it again.") from error


def read_json_object(path: Path) -> dict[str, Json]:
    """The same for a file that must hold a JSON object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} must hold a JSON object, not a {type(value).__name__}: download it again.")
    return value


def read_config(folder: Path) -> dict[str, Json]:
    """config.json as it stands; raises CheckpointError where it is missing or not a JSON object."""
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: it says which model the tensors belong to, so download it too.")
    return read_json_object(path)


def read_generation_config(folder: Path) -> dict[str, Json]:
    """generation_config.json, {} where it is absent or, as for the reference, not JSON."""
    path = folder / "generation_config.json"
    if not path.is_file():
        return {}
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_model_card(folder: Path) -> dict[str, Json]:
    """YAML front matter of README.md, {} where there is none; raises CheckpointError where it cannot be parsed."""
    path = folder / "README.md"
    if not path.is_file():
        return {}
    read_text(path)  # the package's own reader knows no bound
    try:
        return gguf.Metadata.load_model_card(folder)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path} has front matter that is not valid YAML ({reason}): repair or delete it."
        ) from error


@dataclass(frozen=True, slots=True)
class Config:
    """Hyperparameters of a model, defaults filled in; the getters check what they return.

    Every getter takes the names a value is known by: the first one that is present counts, as in the reference, and
    None means absent or null. Raises CheckpointError where a value is of the wrong type or out of range.
    """

    path: Path  #: of config.json, for messages
    name: str  #: the checkpoint's name
    values: Mapping[str, Json]

    @property
    def folder(self) -> Path:
        """Where config.json lies."""
        return self.path.parent

    def get(self, *names: str) -> Json:
        """The value as it stands."""
        return next((self.values[name] for name in names if name in self.values), None)

    def integer(self, *names: str, maximum: int = MAX_INTEGER) -> int | None:
        """A size or count, 1 to `maximum`."""
        value = self.get(*names)
        if value is None:
            return None
        if type(value) is not int or not 1 <= value <= maximum:
            raise self.error(names, value, f"a whole number from 1 to {maximum}")
        return value

    def number(self, *names: str) -> float | None:
        """A number, 0 to MAX_NUMBER."""
        value = self.get(*names)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 <= value <= MAX_NUMBER:
            raise self.error(names, value, f"a number from 0 to {MAX_NUMBER}")
        return float(value)

    def required(self, *names: str, maximum: int = MAX_INTEGER) -> int:
        """`integer`, which must be there."""
        value = self.integer(*names, maximum=maximum)
        if value is None:
            raise CheckpointError(
                f"{self.path} lacks {' or '.join(names)}, without which the shapes are unknown: download it again."
            )
        return value

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise self.error((name,), value, "text")
        return value

    def section(self, name: str) -> Config:
        """An object inside the config, {} where it is absent or null."""
        value = self.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.error((name,), value, "an object")
        return Config(self.path, self.name, value or {})

    def error(self, names: tuple[str, ...], value: Json, wanted: str) -> CheckpointError:
        """What to raise for a value that cannot be used."""
        name = next(name for name in names if name in self.values)
        shown = json.dumps(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return CheckpointError(f"{self.path} gives {name} as {shown}, but it must be {wanted}.")
