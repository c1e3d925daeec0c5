"""Models that are already GGUF files; their metadata and tensors stay, for every architecture.

The reference is llama-quantize, which copies them (src/llama-quant.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from quantize_cli.architectures.description import ModelDescription, TensorRecipe
from quantize_cli.architectures.loading import PROJECTOR
from quantize_cli.architectures.origin import Origin
from quantize_cli.checkpoints.gguf import SPLIT_KEYS, GgufCheckpoint
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.header import ALIGNMENT

#: Key that names the kind of tokenizer.
_TOKENIZER = "tokenizer.ggml.model"

#: Keys that the plan sets again at the metadata's end, and keys that a file in one part does not need.
_DROPPED = frozenset({"general.quantization_version", "general.file_type", *SPLIT_KEYS})


def describe_gguf(checkpoint: GgufCheckpoint) -> ModelDescription:
    """Describe a model that is already a GGUF file."""
    return ModelDescription(
        metadata=tuple(_copied(field) for field in checkpoint.metadata if _stays(field)),
        recipes=tuple(
            TensorRecipe(info.name, info.shape, (info.name,), stored_type=info.dtype)
            for info in checkpoint.infos.values()
        ),
        origin=Origin(checkpoint.location),
        notes=tuple(_notes(checkpoint)),
    )


def _notes(checkpoint: GgufCheckpoint) -> Iterator[str]:
    fields = {field.key: field for field in checkpoint.metadata}
    architecture = fields.get("general.architecture")
    if _TOKENIZER not in fields and not (architecture and architecture.value == PROJECTOR):
        yield f"{checkpoint.location} lacks {_TOKENIZER}, and llama.cpp does not load a model without a tokenizer."


def _stays(field: Field) -> bool:
    if field.key == "general.alignment":
        # llama-quantize copies any value, but lays the tensors out by its own; nothing can load such a file.
        return bool(field.value == ALIGNMENT)
    return field.key not in _DROPPED


def _copied(field: Field) -> Field:
    """Copy a field as llama-quantize does, which copies text as C strings that end at the first zero byte."""
    if field.type is ValueType.STRING:
        return replace(field, value=_c_string(field.value))
    if field.item_type is ValueType.STRING:
        return replace(field, value=tuple(map(_c_string, field.value)))
    return field


def _c_string(text: str | bytes) -> str | bytes:
    return text.partition("\0")[0] if isinstance(text, str) else text.partition(b"\0")[0]
