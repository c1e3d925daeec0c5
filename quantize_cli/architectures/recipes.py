"""Recipes of GGUF tensors, made of tensors that fit."""

from __future__ import annotations

from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.examine import Findings
from quantize_cli.architectures.stored_types import stored_type
from quantize_cli.architectures.tensors import Tensor
from quantize_cli.checkpoints.base import BLOCK_DTYPES


def tensor_recipes(found: Findings) -> tuple[TensorRecipe, ...]:
    """Return the recipes of a model without faults: computed tensors first, then the checkpoint's in file order."""
    family, mtp = found.raw.family, str(found.model.layers)
    own = tuple((pattern.replace("{mtp}", mtp), type_name) for pattern, type_name in family.stored_types)
    return family.computed(found.sizes) + tuple(
        TensorRecipe(
            name,
            tensor.shape,
            tuple(source.name for source in tensor.sources),
            tensor.moves,
            tensor.maps,
            stored_type=_block_type(tensor) or stored_type(name, len(tensor.shape), own),
        )
        for name, tensor in found.named.items()
    )


def _block_type(tensor: Tensor) -> str | None:
    """Return the type of a tensor whose blocks the reference copies, or None."""
    dtype = tensor.sources[0].dtype
    return dtype if dtype in BLOCK_DTYPES else None
