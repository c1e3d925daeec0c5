"""The metadata that a plan sets beside the description's, in llama-quantize's order (src/llama-quant.cpp)."""

from __future__ import annotations

from collections.abc import Iterable

from gguf import GGML_QUANT_VERSION, GGUFValueType

from quantize_cli.architectures.base import ModelDescription
from quantize_cli.gguf_file.fields import Field
from quantize_cli.mixes import Mix
from quantize_cli.plan.options import PlanOptions


def uint32(key: str, value: int) -> Field:
    """A field of that type."""
    return Field(key, GGUFValueType.UINT32, value)


def final_metadata(description: ModelDescription, mix: Mix, options: PlanOptions) -> tuple[Field, ...]:
    """Everything but what tells the parts of a split file apart."""
    added = [uint32("general.quantization_version", GGML_QUANT_VERSION), uint32("general.file_type", mix.file_type)]
    added += options.metadata
    if options.importance is not None:
        added += options.importance.metadata_fields()
    if options.prune_layers:
        traits = description.traits
        added.append(uint32(f"{traits.architecture}.block_count", traits.layers - len(options.prune_layers)))
    return with_fields(description.metadata, added)


def with_fields(fields: Iterable[Field], added: Iterable[Field]) -> tuple[Field, ...]:
    """Set fields one by one; one whose key there is already moves to the end."""
    held = {field.key: field for field in fields}
    for field in added:
        held.pop(field.key, None)
        held[field.key] = field
    return tuple(held.values())
