"""Models that are GGUF files already: their metadata and tensors stay, whatever their architecture.

The reference is what llama-quantize copies (src/llama-quant.cpp).
"""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.description import ModelDescription, TensorRecipe
from quantize_cli.checkpoints.gguf import SPLIT_KEYS, GgufCheckpoint
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.header import ALIGNMENT

#: What the plan sets anew at the metadata's end, and what a file in one part has no use for.
_DROPPED = frozenset({"general.quantization_version", "general.file_type", *SPLIT_KEYS})


def describe_gguf(checkpoint: GgufCheckpoint) -> ModelDescription:
    """Describe a model that is a GGUF file already."""
    return ModelDescription(
        metadata=tuple(_copied(field) for field in checkpoint.metadata if _stays(field)),
        recipes=tuple(
            TensorRecipe(info.name, info.shape, (info.name,), stored_type=info.dtype)
            for info in checkpoint.infos.values()
        ),
    )


def _stays(field: Field) -> bool:
    if field.key == "general.alignment":
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
