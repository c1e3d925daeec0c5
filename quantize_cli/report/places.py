"""Where a tensor stands in the model: its kind, such as `attn_q`, and its layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_LAYER = re.compile(r"(^|\.)blk\.(\d{1,9})\.")

#: Label of the tensors that do not belong to a layer.
NO_LAYER = "-"


class Named(Protocol):
    """A tensor."""

    @property
    def name(self) -> str:
        """Its GGUF name."""


@dataclass(frozen=True, slots=True)
class Places:
    """The kinds and layers of tensors, each tensor by two numbers."""

    kinds: tuple[str, ...]  #: names of kinds in alphabetical order
    layers: tuple[str, ...]  #: NO_LAYER, if some tensors do not have one, and then the layers in order
    kind: tuple[int, ...]  #: of each tensor, an index of `kinds`
    layer: tuple[int, ...]  #: of each tensor, an index of `layers`


def place_of(name: str) -> tuple[str, int | None]:
    """Split a GGUF name into its kind and its layer: "blk.3.attn_q.weight" into "attn_q" and 3."""
    found = _LAYER.search(name)
    kind = _LAYER.sub(r"\1", name, count=1).removesuffix(".weight")
    return kind, int(found[2]) if found else None


def places(tensors: Sequence[Named]) -> Places:
    """Find the kind and the layer of each tensor."""
    found = [place_of(tensor.name) for tensor in tensors]
    kinds = sorted({kind for kind, _ in found})
    layers: list[int | None] = sorted({layer for _, layer in found}, key=lambda layer: -1 if layer is None else layer)
    kind_index = {kind: index for index, kind in enumerate(kinds)}
    layer_index = {layer: index for index, layer in enumerate(layers)}
    return Places(
        kinds=tuple(kinds),
        layers=tuple(NO_LAYER if layer is None else str(layer) for layer in layers),
        kind=tuple(kind_index[kind] for kind, _ in found),
        layer=tuple(layer_index[layer] for _, layer in found),
    )
