"""The model's traits that the mixes' rules ask for, read from its metadata, for every kind of source.

The reference is what llama-quantize reads of the hyperparameters (src/llama-model.cpp, `load_hparams`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.mixes.traits import ModelTraits


def traits_of(metadata: Iterable[Field], where: str) -> ModelTraits:
    """Return the traits; heads are the first layer's, and layers include those that only predict further tokens.

    Args:
        metadata: The model's fields.
        where: The model's name in messages.

    Raises:
        CheckpointError: A hyperparameter that decides about types is missing or impossible.
    """
    fields = {field.key: field for field in metadata}
    architecture = fields.get("general.architecture")
    if architecture is None or not isinstance(architecture.value, str):
        raise CheckpointError(f"{where} does not name its architecture, so it is not a model; choose a language model.")
    return _Hyperparameters(fields, architecture.value, where).traits()


@dataclass(frozen=True, slots=True)
class _Hyperparameters:
    """The metadata under the architecture's name, each value checked."""

    fields: Mapping[str, Field]
    architecture: str
    where: str

    def traits(self) -> ModelTraits:
        layers = self._number("block_count")
        if not layers:
            raise CheckpointError(
                f"{self.where} lacks {self.architecture}.block_count, the number of layers; choose a language model."
            )
        heads = self._of_first_layer("attention.head_count", layers) or 0
        kv_heads = self._of_first_layer("attention.head_count_kv", layers)
        return ModelTraits.of(
            self.architecture,
            layers,
            heads,
            heads if kv_heads is None else kv_heads,
            self._number("expert_count") or 0,
        )

    def _number(self, name: str) -> int | None:
        field = self.fields.get(f"{self.architecture}.{name}")
        return None if field is None else self._natural(field, field.value)

    def _of_first_layer(self, name: str, layers: int) -> int | None:
        """Return a number that may be given for each layer."""
        field = self.fields.get(f"{self.architecture}.{name}")
        if field is None or field.type is not ValueType.ARRAY:
            return self._number(name)
        if len(field.value) != layers:
            raise CheckpointError(
                f"{self.where} gives {field.key} for {len(field.value)} layers, but has {layers}; download it again."
            )
        return self._natural(field, field.value[0])

    def _natural(self, field: Field, value: object) -> int:
        if type(value) is not int or value < 0:
            raise CheckpointError(
                f"{self.where} gives {field.key} as {shown(value)} instead of a number; download it again."
            )
        return value
