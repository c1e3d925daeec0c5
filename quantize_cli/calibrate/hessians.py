"""The Hessians of the matrices of a block: which errors of a matrix count, given what it is multiplied by.

For y = W x with the loss's gradient g at y, H = sum over tokens of w x x^T, w = |g|^2 over its mean, at most 50. It is
what is left of the loss's own Hessian if errors of different rows of W are taken to be independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from quantize_cli.calibrate.joining import Joined
from quantize_cli.calibrate.products import Product, Watch
from quantize_cli.methods.needs import ITEM

#: A token counts at most so many times the mean.
MOST_WEIGHT = 50


class Key(NamedTuple):
    """A Hessian's matrix."""

    parameter: str
    matrix: int
    tensor: int  #: number of the GGUF tensor; parts of one parameter may be several


@dataclass(frozen=True, eq=False, slots=True)
class Summed:
    """What tokens add up to."""

    hessian: Tensor  #: float32[columns, columns]
    tokens: int

    def with_(self, other: Summed) -> Summed:
        """Add what other tokens add up to; this one's memory is used."""
        self.hessian.add_(other.hessian)
        return Summed(self.hessian, self.tokens + other.tokens)


class Reached(Exception):  # noqa: N818  it is not an error
    """The end of a stage: what follows depends on what is to be rounded."""


def stages_of(parameters: Mapping[str, Tensor], run: Callable[[], object]) -> list[list[str]]:
    """Return the parameters in the order of their products; those that are multiplied by the same stand together.

    Args:
        parameters: Those that are to be rounded.
        run: Runs the block on some tokens.
    """
    stages: list[list[str]] = []
    last: list[Tensor] = []

    def note(product: Product) -> None:
        if any(product.parameter in stage for stage in stages):
            return
        same = bool(last) and last[0].data_ptr() == product.inputs.data_ptr() and last[0].shape == product.inputs.shape
        if same:
            stages[-1].append(product.parameter)
        else:
            stages.append([product.parameter])
            last[:] = [product.inputs]

    with Watch(parameters, note):
        run()
    return stages


class Collector:
    """Collects the Hessians of one stage.

    Args:
        joined: Which parameters the tensors of the block are.
        weights: Number of a tensor -> float32[sequences, context]; without it, tokens count alike.
        stage: The parameters.
        later: Those of the stages that follow.
    """

    def __init__(
        self, joined: Joined, weights: Mapping[int, Tensor], stage: Sequence[str], later: Sequence[str]
    ) -> None:
        self._joined, self._weights, self._stage, self._later = joined, weights, frozenset(stage), frozenset(later)

    @property
    def nbytes(self) -> int:
        """Bytes of all Hessians, if every expert is hit."""
        places = (place for (name, _), place in self._joined.places.items() if name in self._stage)
        return sum(ITEM * len(place.columns) ** 2 * len({*place.tensors.tolist()} - {-1}) for place in places)

    def of_sequences(
        self, parameters: Mapping[str, Tensor], some: slice, run: Callable[[], object]
    ) -> dict[Key, Summed]:
        """Return the Hessians of some sequences; `run` takes them through the block."""
        found: dict[Key, Summed] = {}

        def tell(product: Product) -> None:
            # An expert's last product comes before another one's first: matrices of a stack do not end a stage.
            if product.parameter in self._later and parameters[product.parameter].ndim < 3:
                raise Reached
            if product.parameter in self._stage:
                for key, summed in self._summed(product, some):
                    found[key] = found[key].with_(summed) if key in found else summed

        try:
            with Watch(parameters, tell):
                run()
        except Reached:
            pass
        return found

    def _summed(self, product: Product, some: slice) -> Iterator[tuple[Key, Summed]]:
        place = self._joined.places[product.parameter, product.matrix]
        inputs = product.inputs.float()
        if (place.columns != np.arange(len(place.columns))).any():
            inputs = inputs[:, np.argsort(place.columns)]
        for number in np.unique(place.tensors[place.tensors >= 0]).tolist():
            weights = self._weights.get(number)
            counted = inputs
            if weights is not None:
                of_tokens = weights[some].reshape(-1)
                if len(of_tokens) == len(inputs):
                    counted = inputs * of_tokens[:, None]
            yield Key(product.parameter, product.matrix, number), Summed(counted.T @ inputs, len(inputs))


def in_order(pool: Executor, tasks: Iterator[Callable[[], dict[Key, Summed]]], at_once: int) -> dict[Key, Summed]:
    """Run some tasks at once, and add the results in the order of the tasks, so that threads never change the sums."""
    total: dict[Key, Summed] = {}
    waiting: list[Future[dict[Key, Summed]]] = []

    def take() -> None:
        for key, summed in waiting.pop(0).result().items():
            total[key] = total[key].with_(summed) if key in total else summed

    for task in tasks:
        waiting.append(pool.submit(task))
        if len(waiting) == at_once:
            take()
    while waiting:
        take()
    return total
