"""Recipes of GGUF tensors, made of tensors that fit."""

from __future__ import annotations

from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.examine import Findings
from quantize_cli.architectures.stored_types import stored_type


def tensor_recipes(found: Findings) -> tuple[TensorRecipe, ...]:
    """Return the recipes of a model without faults: computed tensors first, then the checkpoint's in file order."""
    return found.raw.family.computed(found.sizes) + tuple(
        TensorRecipe(
            name,
            tensor.shape,
            tuple(source.name for source in tensor.sources),
            tensor.moves,
            tensor.maps,
            stored_type=stored_type(name, len(tensor.shape), found.raw.family.stored_types),
        )
        for name, tensor in found.named.items()
    )
