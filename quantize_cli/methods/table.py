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
        Method("awq", "scales moved from norms and other makers of inputs to the matrices behind them", folds=True),
        Method("awq+gptq", "scales moved, and then levels chosen", folds=True, feeds_back=True),
    )
}

#: The types that methods with feedback round; of the others, the reference's search makes the blocks.
ROUNDED_TYPES = frozenset(
    ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "IQ4_XS")
)
#: What is left of the measured cost of such a type, about: what the search of the reference would cost is measured.
_LEFT = 0.5


def costs_with(method: Method, costs: Mapping[str, float]) -> Mapping[str, float]:
    """Return what storing a tensor in each type costs with a method, of what it costs with the reference's search."""
    if not method.feeds_back:
        return costs
    return {name: cost * (_LEFT if name in ROUNDED_TYPES else 1) for name, cost in costs.items()}
