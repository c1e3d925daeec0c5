"""The methods: how rows become blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    name: str  #: what --method takes
    summary: str
    folds: bool = False  #: scales are moved between matrices before they are rounded
    feeds_back: bool = False  #: levels are chosen by GPTQ's feedback and a descent

    @property
    def is_reference(self) -> bool:
        """Whether blocks are those of llama.cpp's own search."""
        return not (self.folds or self.feeds_back)


#: What files are compared on.
COMPARED_TEXT = "part C of the built-in texts"

#: Name -> method; the first one is the default.
METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("reference", "llama.cpp's own search: the same bytes as llama-quantize"),
        Method("gptq", "levels and scales chosen for what the model computes, block by block", feeds_back=True),
    )
}
