"""How many parameters a model has, and how many of them take part in one token."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable

from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.inspection.model import Hyperparameters, Parameters

_LAYER = re.compile(r"blk\.(\d+)\.")


def parameters_of(recipes: Iterable[TensorRecipe], sizes: Hyperparameters) -> Parameters:
    """Count the parameters of the tensors that a GGUF file gets.

    Tied embeddings count once, and tensors that are computed from the configuration do not count. Active are all
    parameters outside the experts that a router chooses from, the token embedding with all its rows included, and of
    those experts the share that is used: experts_used / experts. Shared experts are outside. Layers that only predict
    further tokens are not active. This is how the makers of models count "A3B".
    """
    total = experts = mtp = 0
    active: int | None = 0
    first_mtp = sizes.layers if sizes.mtp_layers else None
    for recipe in recipes:
        count, layer = math.prod(recipe.shape), _layer(recipe.name)
        if not recipe.sources:
            continue
        total += count
        in_experts = _is_chosen_from(recipe)
        experts += count if in_experts else 0
        if first_mtp is not None and layer is not None and layer >= first_mtp:
            mtp += count
        elif active is not None:
            share = _used(recipe, layer, count, sizes) if in_experts else count
            active = None if share is None else active + share
    return Parameters(total, active, experts, mtp)


def _layer(name: str) -> int | None:
    match = _LAYER.match(name)
    return int(match[1]) if match else None


def _is_chosen_from(recipe: TensorRecipe) -> bool:
    """Tell whether a tensor is a stack of experts, of which a router chooses some."""
    return "_exps." in recipe.name and len(recipe.shape) >= (2 if recipe.name.endswith(".bias") else 3)


def _used(recipe: TensorRecipe, layer: int | None, count: int, sizes: Hyperparameters) -> int | None:
    """Return the parameters of a stack that take part in one token."""
    used = sizes.experts_used
    if isinstance(used, Collection):
        used = used[layer] if layer is not None and layer < len(used) else None
    stacked = recipe.shape[-2 if recipe.name.endswith(".bias") else -3]
    return None if used is None else count * min(used, stacked) // max(stacked, 1)
