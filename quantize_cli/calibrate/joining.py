"""Which parameter's rows are which rows of which GGUF tensor.

Nothing is derived from names. Numbers take the way of the weights: GGUF tensors filled with the numbers of their rows,
and then of their columns, go backwards through the recipes and through transformers' conversions; where they arrive is
where the weights arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from quantize_cli.calibrate.backwards import Meaning, Rows, arrays_of
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.planning.model import PlannedTensor


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """One matrix of a parameter: what each of its rows is in the GGUF file."""

    transposed: bool  #: whether inputs are multiplied by the matrix as it is, so that its columns are the GGUF rows
    tensors: NDArray[np.int64]  #: int64[rows]: number of the GGUF tensor in the part; -1 is none
    #: int64[rows]: number of the row there; -1 is a row of none, or one that is a column there (DeepSeek's attn_k_b)
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]  #: int64[columns]: number of the column there


class Joined:
    """The matrices of one part.

    Args:
        skeleton: The model.
        tensors: The GGUF tensors of the part that have rows, vectors left out.
        infos: The checkpoint's tensors.
    """

    def __init__(self, skeleton: Skeleton, tensors: Sequence[PlannedTensor], infos: Mapping[str, TensorInfo]) -> None:
        self.tensors = tensors
        self._skeleton, self._infos = skeleton, infos
        self.places: dict[tuple[str, int], Place] = {}
        #: Parameters, and the tensors that lie in them; nothing of a group lies in another one.
        self.groups: list[tuple[Sequence[str], Sequence[PlannedTensor]]] = []
        starts = np.cumsum([0, *(tensor.rows for tensor in tensors)])
        numbers = {tensor.name: number for number, tensor in enumerate(tensors)}
        for group in _groups(skeleton, tensors):
            across = self._sent(_columns_filled, group)
            rows = self._sent(lambda tensor: _rows_filled(tensor, starts[numbers[tensor.name]]), group)
            for name, matrices in rows.items():
                for matrix, where in enumerate(matrices):
                    self.places[name, matrix] = _place(where, across[name][matrix], starts)
            self.groups.append((list(rows), group))
        self._pairs = {
            (name, tensors[number].name)
            for (name, _), place in self.places.items()
            for number in np.unique(place.tensors)
            if number >= 0
        }

    @property
    def parameters(self) -> Sequence[str]:
        """The parameters that tensors lie in."""
        return list(dict.fromkeys(name for name, _ in self.places))

    def numbers(self, parameter: str) -> NDArray[np.int64]:
        """Return the number of the tensor of each of `rows(parameter, ...)`; that behind the last stands for none."""
        places = [place.tensors for (name, _), place in self.places.items() if name == parameter]
        return np.concatenate(places) % (len(self.tensors) + 1)

    def rows(self, parameter: str, values: torch.Tensor) -> torch.Tensor:
        """Return values of a parameter's shape as rows, [rows, columns]; matrices lie one below the other."""
        stack = values.reshape(-1, *values.shape[-2:])
        if self.places[parameter, 0].transposed:
            stack = stack.transpose(1, 2)
        return stack.reshape(-1, stack.shape[-1])

    def has(self, parameter: str, tensor: PlannedTensor) -> bool:
        """Tell whether a tensor, or some of it, lies in a parameter."""
        return (parameter, tensor.name) in self._pairs

    def values(
        self, read: Callable[[PlannedTensor], Rows], meaning: Meaning, tensors: Sequence[PlannedTensor]
    ) -> dict[str, torch.Tensor]:
        """Make parameters of values in the layout of the GGUF file; where it has none, they are 0.

        Args:
            read: Returns the values of a tensor.
            meaning: What they are.
            tensors: Those of a group.
        """
        arrays = arrays_of(tensors, read, self._infos, meaning)
        return self._skeleton.converted({name: torch.from_numpy(held) for name, held in arrays.items()})

    def _sent(
        self, fill: Callable[[PlannedTensor], Rows], tensors: Sequence[PlannedTensor]
    ) -> dict[str, NDArray[np.float32]]:
        """Return where numbers arrive: each parameter as a stack of matrices, float32[matrices, rows, columns]."""
        made = self.values(fill, Meaning.PLACES, tensors)
        return {name: held.numpy().reshape(-1, *held.shape[-2:]) for name, held in made.items() if held.ndim > 1}


def _groups(skeleton: Skeleton, tensors: Sequence[PlannedTensor]) -> Iterator[list[PlannedTensor]]:
    """Yield the tensors that become some parameters together, such as the experts' gates and ups."""
    left = {tensor.name: tensor for tensor in tensors}
    while left:
        reached: set[str] = set()
        names = {next(iter(left))}
        while more := {skeleton.parameter(source) for name in names for source in left[name].sources} - reached:
            reached |= more
            names |= {
                name for name, tensor in left.items() if reached & {skeleton.parameter(held) for held in tensor.sources}
            }
        yield [left.pop(tensor.name) for tensor in tensors if tensor.name in names]


def _place(where: Rows, columns: Rows, starts: NDArray[np.int64]) -> Place:
    """Read a matrix of row numbers and one of column numbers, which begin at 1."""
    varying = where[:, 0] != where[:, -1]
    transposed = where.shape[1] > 1 and bool(varying[where[:, 0] > 0].all())
    if transposed:
        where, columns, varying = where.T, columns.T, np.zeros(where.shape[1], np.bool_)
    rows = where[:, 0].astype(np.int64) - 1
    tensors = np.searchsorted(starts, rows, side="right") - 1
    straight = (rows >= 0) & ~varying
    return Place(
        transposed,
        np.where(rows >= 0, tensors, -1),
        np.where(straight, rows - starts[tensors], -1),
        columns[int(straight.argmax())].astype(np.int64) - 1,
    )


def _rows_filled(tensor: PlannedTensor, start: int) -> Rows:
    """Return a tensor whose values are the numbers of its rows in the part, from 1 on.

    float32 is exact up to 2^24; no part of a known model has as many rows.
    """
    numbers = np.arange(start + 1, start + 1 + tensor.rows, dtype=np.float32)
    return np.repeat(numbers[:, None], tensor.columns, axis=1)


def _columns_filled(tensor: PlannedTensor) -> Rows:
    """Return a tensor whose values are the numbers of its columns, from 1 on."""
    return np.repeat(np.arange(1, tensor.columns + 1, dtype=np.float32)[None], tensor.rows, axis=0)
