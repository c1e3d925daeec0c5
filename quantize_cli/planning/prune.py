"""Pruning of layers: the others get new numbers (src/llama-quant.cpp, `remap_layer`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.errors import UsageError, shown

LAYER = re.compile(r"blk\.(\d+)\.")


def parse_layers(text: str) -> frozenset[int]:
    """Parse numbers of layers, separated by commas.

    Raises:
        UsageError: The text is of another form.
    """
    try:
        layers = frozenset(int(part) for part in text.split(","))
    except ValueError:
        layers = frozenset({-1})
    if min(layers) < 0:
        raise UsageError(f"{shown(text)} is not a list of layers; write it as in 3,7,8.")
    return layers


@dataclass(frozen=True, slots=True)
class Kept:
    """The rest of a pruned model."""

    recipes: tuple[tuple[TensorRecipe, str], ...]  #: under their new names, each with its old one
    layers: int
    missing: tuple[int, ...]  #: layers to leave out that the model does not have
    names: frozenset[str]  #: of all tensors before pruning


def pruned(recipes: Sequence[TensorRecipe], layers: Collection[int]) -> Kept:
    """Leave out `layers`.

    Raises:
        UsageError: No layer is left.
    """
    found = [LAYER.search(recipe.name) for recipe in recipes]
    present = sorted({int(match[1]) for match in found if match})
    number: dict[int, int] = {}
    count = 0
    for layer in present:
        if layer not in layers:
            number[layer] = layer if not layers or layer < min(layers) else count
            count = number[layer] + 1
    if present and not number:
        raise UsageError("All layers would be pruned; leave at least one.")
    kept = [
        (recipe if match is None else _renamed(recipe, match, number), recipe.name)
        for recipe, match in zip(recipes, found, strict=True)
        if match is None or int(match[1]) in number
    ]
    missing = sorted(set(layers).difference(present))
    return Kept(tuple(kept), count, tuple(missing), frozenset(recipe.name for recipe in recipes))


def _renamed(recipe: TensorRecipe, match: re.Match[str], number: dict[int, int]) -> TensorRecipe:
    start, end = match.span(1)
    return replace(recipe, name=f"{recipe.name[:start]}{number[int(match[1])]}{recipe.name[end:]}")
