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
    """Yield slabs of whole rows, none with rows of two experts, each of which has an importance of its own."""
    for tensors in zip(*(plan.tensors for plan in plans), strict=True):
        tensor = tensors[0]
        step = max(1, slab_weights // tensor.columns)
        for expert in range(0, tensor.rows, tensor.rows_of_an_expert):
            end = expert + tensor.rows_of_an_expert
            for start in range(expert, end, step):
                yield Slab(tensors, start, min(end, start + step))
