"""Maps: what changes values, or moves them within rows or between rows and columns.

Maps come after the moves. Those that compute do so in the source's dtype, as the reference does: float16 for F16, and
float32 for everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
#: Rows of any dtype, [n, columns].
Values: TypeAlias = NDArray[Any]


class Map(Protocol):
    """A change of values; implementations are frozen dataclasses, so that a plan is a value."""

    @property
    def computes(self) -> bool:
        """Whether values become other values; if not, the map works on stored values of any dtype."""
        ...

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's.

        Raises:
            ValueError: the input's shape does not suit the map.
        """
        ...

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return the range of input rows that the output rows `start:stop` are made of."""
        ...

    def apply(self, values: Values, start: int, stop: int) -> Values:
        """Make the output rows `start:stop` of the input rows of their span."""
        ...


class _Elementwise:
    """What maps have in common that compute each value from one value."""

    __slots__ = ()

    @property
    def computes(self) -> bool:
        """Whether values become other values: they do."""
        return True

    def shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        return shape

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return the same range."""
        return start, stop


@dataclass(frozen=True, slots=True)
class Add(_Elementwise):
    """Add a constant: Gemma and Qwen3-Next store their norms' weights less 1."""

    value: float

    def apply(self, values: Values, start: int, stop: int) -> Values:  # noqa: ARG002
        """Return the sums, in the dtype of `values`."""
        return np.asarray(values + values.dtype.type(self.value))


@dataclass(frozen=True, slots=True)
class NegExp(_Elementwise):
    """-exp(x): the decay of linear attention, stored as its logarithm.

    Rounded from float64, that is correctly; torch's float32 exp, the reference's, differs in the last place on some
    values.
    """

    def apply(self, values: Values, start: int, stop: int) -> Values:  # noqa: ARG002
        """Return -exp(values), in the dtype of `values`."""
        with np.errstate(over="ignore"):  # what overflows is refused by whoever reads it
            return np.asarray(-np.exp(values.astype(np.float64)).astype(values.dtype))


@dataclass(frozen=True, slots=True)
class Transpose:
    """Transpose each matrix of a stack: `rows` rows of `columns` values become `columns` rows of `rows` values."""

    rows: int
    columns: int

    @property
    def computes(self) -> bool:
        """Whether values become other values: they do not."""
        return False

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        if shape[-2:] != (self.rows, self.columns):
            raise ValueError(f"its matrices are {list(shape[-2:])} instead of {[self.rows, self.columns]}")
        return (*shape[:-2], shape[-1], shape[-2])

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return the range of input rows that the output rows `start:stop` are made of: whole matrices."""
        return start // self.columns * self.rows, -(-stop // self.columns) * self.rows

    def apply(self, values: Values, start: int, stop: int) -> Values:
        """Make the output rows `start:stop` of the input rows of their span."""
        first = start // self.columns * self.columns
        matrices = values.reshape(-1, self.rows, self.columns)
        if len(matrices) == 1:  # only the rows that are asked for: the matrix may be large
            return np.ascontiguousarray(matrices[0, :, start - first : stop - first].T)
        return matrices.swapaxes(1, 2).reshape(-1, self.rows)[start - first : stop - first]


@dataclass(frozen=True, slots=True)
class TiledColumns:
    """As `moves.Tiled`, for columns."""

    groups: int
    heads: int  #: heads of a group
    size: int  #: columns of a head

    @property
    def computes(self) -> bool:
        """Whether values become other values: they do not."""
        return False

    def shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        if shape[-1] != (columns := self.groups * self.heads * self.size):
            raise ValueError(f"it has {shape[-1]} columns instead of {columns}")
        return shape

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return the same range."""
        return start, stop

    def apply(self, values: Values, start: int, stop: int) -> Values:  # noqa: ARG002
        """Return the same rows with their columns in the order of tiles."""
        grouped = values.reshape(-1, self.groups, self.heads, self.size)
        return grouped.swapaxes(1, 2).reshape(values.shape)
