"""Slabs: the pieces in which tensors are made, the same whatever the number of threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quantize_cli.gguf_file.header import padded
from quantize_cli.planning.model import Plan, PlannedTensor

#: Weights in a slab: 1 MiB as float32. Slabs of twice the size are hardly faster. Only half as many of them fit the
#: room for weights in flight, which leaves some of many threads without work.
SLAB_WEIGHTS = 1 << 18


@dataclass(frozen=True, slots=True)
class Slab:
    """Some rows of one tensor, and what each plan makes of that tensor."""

    tensors: tuple[PlannedTensor, ...]
    start: int
    stop: int

    @property
    def tensor(self) -> PlannedTensor:
        """The tensor as the first plan has it; its sources and shape are those of all."""
        return self.tensors[0]

    @property
    def weights(self) -> int:
        """The number of weights."""
        return (self.stop - self.start) * self.tensor.columns

    @property
    def first(self) -> bool:
        """Whether the tensor begins here."""
        return self.start == 0

    @property
    def last(self) -> bool:
        """Whether the tensor ends here."""
        return self.stop == self.tensor.rows

    @property
    def last_of_expert(self) -> bool:
        """Whether a matrix of a stack, or the only one, ends here."""
        return self.stop % self.tensor.rows_of_an_expert == 0

    def padding(self, tensor: PlannedTensor) -> int:
        """Return the bytes between the end of the tensor, as one plan has it, and the next one, if it ends here."""
        return padded(tensor.nbytes) - tensor.nbytes if self.last else 0


def slabs_of(plans: Sequence[Plan], slab_weights: int = SLAB_WEIGHTS) -> Iterator[Slab]:
    """Yield slabs of whole rows: parts of an expert, or as many whole experts of a stack as fit."""
    for tensors in zip(*(plan.tensors for plan in plans), strict=True):
        tensor = tensors[0]
        height = tensor.rows_of_an_expert
        together = height * _experts_of_a_slab(tensors, slab_weights)
        step = max(1, slab_weights // tensor.columns)
        for first in range(0, tensor.rows, together):
            end = min(first + together, tensor.rows)
            for start in range(first, end, together if together > height else step):
                yield Slab(tensors, start, end if together > height else min(end, start + step))


def _experts_of_a_slab(tensors: Sequence[PlannedTensor], slab_weights: int) -> int:
    """Return the number of experts that a slab may hold: one, if each has an importance or a matrix of its own."""
    tensor = tensors[0]
    if tensor.maps or any(held.importance is not None for held in tensors):
        return 1
    return max(1, slab_weights // (tensor.rows_of_an_expert * tensor.columns))
