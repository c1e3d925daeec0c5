"""Factors of foldings, as they change the rows of a GGUF file's tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.architectures.folds import Fold
from quantize_cli.planning.model import PlannedTensor

#: Rows of weights, float32[n, columns].
Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Factors:
    """What the rows and the columns of tensors are changed by. Powers of two do not change the bits of a mantissa."""

    rows: Mapping[str, NDArray[np.float32]]  #: GGUF name -> what rows are divided by, float32[rows]
    columns: Mapping[str, NDArray[np.float32]]  #: GGUF name -> what columns are multiplied by, float32[1 or experts, k]

    @classmethod
    def of(cls, chosen: Iterable[tuple[Fold, NDArray[np.float32]]]) -> Factors:
        """Join foldings, each with its factors float32[size], all positive and finite."""
        rows: dict[str, NDArray[np.float32]] = {}
        columns: dict[str, NDArray[np.float32]] = {}
        for fold, factors in chosen:
            for name in fold.divided:
                padded = np.concatenate([np.ones(fold.first, np.float32), factors])
                rows[name] = rows[name] * padded if name in rows else padded
            for name in fold.multiplied:
                spread = factors[fold.numbers]
                columns[name] = columns[name] * spread if name in columns else spread
        return cls(rows, columns)

    def __contains__(self, name: str) -> bool:
        """Tell whether a tensor is changed."""
        return name in self.rows or name in self.columns

    def apply(self, tensor: PlannedTensor, rows: Rows, start: int) -> Rows:
        """Return rows of a tensor as the folded model has them.

        Args:
            tensor: The tensor; a vector is one row.
            rows: float32[n, columns], which stay as they are.
            start: The number of the first row in the tensor.
        """
        divisors = self.rows.get(tensor.name)
        if divisors is not None:
            rows = rows / (divisors if len(tensor.shape) == 1 else divisors[start : start + len(rows), None])
        factors = self._columns_of(tensor, start, len(rows))
        return rows if factors is None else rows * factors

    def importance(self, tensor: PlannedTensor, importance: Rows, row: int) -> Rows:
        """Return the importance float32[columns] of some row: mean squares of inputs that factors have divided."""
        factors = self._columns_of(tensor, row, 1)
        return importance if factors is None else importance / np.square(factors[0])

    def _columns_of(self, tensor: PlannedTensor, start: int, count: int) -> Rows | None:
        """Return the factors of the columns of some rows, float32[1 or count, columns]."""
        factors = self.columns.get(tensor.name)
        if factors is None or len(factors) == 1:
            return factors
        experts = np.arange(start, start + count) // tensor.rows_of_an_expert
        return factors[experts]
