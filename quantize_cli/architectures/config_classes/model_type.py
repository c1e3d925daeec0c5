"""A model type of transformers, and a config.json on its way through the class of that type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from quantize_cli.architectures.reference_data import Json, read_data
from quantize_cli.errors import CheckpointError, shown

#: A configuration while the steps of a class work on it.
Values: TypeAlias = dict[str, Json]

#: No real model comes near this many, and every list has one item a layer.
MAX_LAYERS = 1_000


class ClassRefuses(Exception):  # noqa: N818 - it is what a class does, and no user ever sees it
    """The class of transformers would fail on this configuration."""


@dataclass(frozen=True, slots=True)
class ModelType:
    """What the class of a model type fills in. Only keys that the converter reads are listed.

    Attributes:
        name: `model_type`, as config.json gives it.
        defaults: Constants, by key.
        attribute_map: Other spelling of a key -> the key.
        sub_configs: Key of a nested configuration -> its usual model type.
        derived: Key -> how its value follows from others: a `formula`, or the `cycle` of a list with one item a layer.
        default_theta: `rope_theta` where nothing gives one; where layer kinds have their own, `global` and `local`.
        default_rope_type: `rope_type` in place of `default`.
    """

    name: str
    defaults: Mapping[str, Json]
    attribute_map: Mapping[str, str]
    sub_configs: Mapping[str, str]
    derived: Mapping[str, Mapping[str, Json]]
    default_theta: Json
    default_rope_type: str

    def own_key(self, key: str) -> str:
        """Return the key under which the class holds what others call `key`."""
        return self.attribute_map.get(key, key)


@cache
def model_type(name: str) -> ModelType | None:
    """Return the model type of that name, or None if the data file has no such type."""
    entry = read_data("defaults.json")["model_types"].get(name)
    if entry is None:
        return None
    return ModelType(
        name=name,
        defaults=entry.get("defaults", {}),
        attribute_map=entry.get("attribute_map", {}),
        sub_configs=entry.get("sub_configs", {}),
        derived=entry.get("derived", {}),
        default_theta=entry.get("default_theta"),
        default_rope_type=entry.get("default_rope_type", "default"),
    )


@dataclass(frozen=True, slots=True)
class Filling:
    """A config.json that a class fills in.

    Attributes:
        kind: Model type of the class.
        given: What config.json gives, under the keys of the class.
        values: What the class has made of it so far. The steps change it.
    """

    kind: ModelType
    given: Mapping[str, Json]
    values: Values

    def gives(self, key: str) -> bool:
        """Return whether config.json has a value for `key`. A null is not a value."""
        return self.given.get(key) is not None

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a value that the class computes with; raises ClassRefuses if it is not a whole number."""
        value = self.values.get(key, default)
        if type(value) is not int:
            raise ClassRefuses(f"{key} is not a whole number")
        return value

    def positive(self, key: str, default: int | None = None) -> int:
        """Return `whole`; raises ClassRefuses if it is not positive, since the class divides by it."""
        value = self.whole(key, default)
        if value < 1:
            raise ClassRefuses(f"{key} is not positive")
        return value

    def items(self, key: str) -> list[Json]:
        """Return a value that the class goes through; raises ClassRefuses if it is not a list."""
        value = self.values.get(key)
        if not isinstance(value, list):
            raise ClassRefuses(f"{key} is not a list")
        return value

    def layers(self) -> int:
        """Return the number of layers.

        Raises:
            CheckpointError: It is larger than MAX_LAYERS.
            ClassRefuses: It is not a whole number.
        """
        key = self.kind.own_key("num_hidden_layers")
        layers = self.whole(key)
        if layers > MAX_LAYERS:
            raise CheckpointError(
                f"config.json gives {key} as {shown(layers)}, but no model has more than {MAX_LAYERS} layers; "
                "download it again."
            )
        return layers
