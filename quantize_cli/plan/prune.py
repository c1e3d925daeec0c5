"""Leaving out layers: those that stay are numbered anew (src/llama-quant.cpp, `remap_layer`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from quantize_cli.architectures.base import TensorRecipe
from quantize_cli.errors import UsageError

LAYER = re.compile(r"blk\.(\d+)\.")


def parse_layers(text: str) -> frozenset[int]:
    """Numbers of layers, separated by commas.

    Raises:
        UsageError: it is of another form.
    """
    try:
        layers = frozenset(int(part) for part in text.split(","))
    except ValueError:
        layers = frozenset({-1})
    if min(layers) < 0:
        raise UsageError(f"{text!r} is no list of layers: write it as in 3,7,8.")
    return layers


def pruned(recipes: Sequence[TensorRecipe], layers: Collection[int], count: int) -> list[tuple[TensorRecipe, str]]:
    """The recipes that stay, under their new names, each with its old name; `count` layers are in the model.

    Raises:
        UsageError: a layer is not in the model, or none is left.
    """
    if missing := sorted(layer for layer in layers if layer >= count):
        raise UsageError(f"There is no layer {missing[0]} to prune: the model has layers 0 to {count - 1}.")
    if count and len(layers) == count:
        raise UsageError("All layers are to be pruned: leave at least one.")
    number = {layer: new for new, layer in enumerate(layer for layer in range(count) if layer not in layers)}
    kept = []
    for recipe in recipes:
        found = LAYER.search(recipe.name)
        if found is None or int(found[1]) in number:
            kept.append((recipe if found is None else _renumbered(recipe, found, number), recipe.name))
    return kept


def _renumbered(recipe: TensorRecipe, found: re.Match[str], number: dict[int, int]) -> TensorRecipe:
    start, end = found.span(1)
    name = f"{recipe.name[:start]}{number[int(found[1])]}{recipe.name[end:]}"
    return replace(recipe, name=name)
