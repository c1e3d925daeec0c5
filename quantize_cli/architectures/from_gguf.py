"""Models that are GGUF files already: their metadata and tensors stay, whatever their architecture.

The reference is what llama-quantize copies (src/llama-quant.cpp) and what it reads of the hyperparameters
(src/llama-model.cpp, `load_hparams`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gguf import Keys

from quantize_cli.architectures.description import ModelDescription, TensorRecipe, Traits
from quantize_cli.checkpoints.gguf import SPLIT_KEYS, GgufCheckpoint
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.header import ALIGNMENT

#: What the plan sets anew at the metadata's end, and what a file in one part has no use for.
_DROPPED = frozenset({Keys.General.QUANTIZATION_VERSION, Keys.General.FILE_TYPE, *SPLIT_KEYS})


def describe_converted(checkpoint: GgufCheckpoint) -> ModelDescription:
    """Metadata, recipes and traits of a model that is a GGUF file already.

    Raises:
        CheckpointError: it lacks a hyperparameter that decides about types, or has an impossible one.
    """
    return ModelDescription(
        metadata=tuple(_copied(field) for field in checkpoint.metadata if _stays(field)),
        recipes=tuple(
            TensorRecipe(info.name, info.shape, (info.name,), stored_type=info.dtype)
            for info in checkpoint.infos.values()
        ),
        traits=_Hyperparameters(checkpoint).traits(),
    )


def _stays(field: Field) -> bool:
    if field.key == Keys.General.ALIGNMENT:
        # llama-quantize copies any value, and lays the tensors out by its own: a file that nothing can load.
        return bool(field.value == ALIGNMENT)
    return field.key not in _DROPPED


def _copied(field: Field) -> Field:
    """llama-quantize copies text as C strings, which end at the first zero byte."""
    if field.type is ValueType.STRING:
        return replace(field, value=_c_string(field.value))
    if field.item_type is ValueType.STRING:
        return replace(field, value=tuple(map(_c_string, field.value)))
    return field


def _c_string(text: str | bytes) -> str | bytes:
    return text.partition("\0")[0] if isinstance(text, str) else text.partition(b"\0")[0]


class _Hyperparameters:
    """The metadata that the mixes' rules ask for, each value checked."""

    def __init__(self, checkpoint: GgufCheckpoint) -> None:
        self._path = checkpoint.path
        self._fields: Mapping[str, Field] = {field.key: field for field in checkpoint.metadata}
        architecture = self._fields.get(Keys.General.ARCHITECTURE)
        if architecture is None or not isinstance(architecture.value, str):
            raise CheckpointError(
                f"{self._path} does not name its architecture, so it is no model; give a language model."
            )
        self._architecture = architecture.value

    def traits(self) -> Traits:
        """Heads are the first layer's, as for the reference's `n_gqa`; layers include those that predict ahead."""
        layers = self._number(Keys.LLM.BLOCK_COUNT)
        if not layers:
            raise CheckpointError(
                f"{self._path} lacks {self._key(Keys.LLM.BLOCK_COUNT)}, the number of layers; give a language model."
            )
        heads = self._of_first_layer(Keys.Attention.HEAD_COUNT, layers) or 0
        kv_heads = self._of_first_layer(Keys.Attention.HEAD_COUNT_KV, layers)
        return Traits(
            architecture=self._architecture,
            layers=layers,
            heads=heads,
            kv_heads=heads if kv_heads is None else kv_heads,
            experts=self._number(Keys.LLM.EXPERT_COUNT) or 0,
        )

    def _key(self, template: str) -> str:
        return template.format(arch=self._architecture)

    def _number(self, template: str) -> int | None:
        field = self._fields.get(self._key(template))
        return None if field is None else self._natural(field, field.value)

    def _of_first_layer(self, template: str, layers: int) -> int | None:
        """A number that may be given for each layer."""
        field = self._fields.get(self._key(template))
        if field is None or field.type is not ValueType.ARRAY:
            return self._number(template)
        if len(field.value) != layers:
            raise CheckpointError(
                f"{self._path} gives {field.key} for {len(field.value)} layers, but has {layers}; download it again."
            )
        return self._natural(field, field.value[0])

    def _natural(self, field: Field, value: object) -> int:
        if type(value) is not int or value < 0:
            raise CheckpointError(f"{self._path} gives {field.key} as {shown(value)} instead of a number.")
        return value
