"""Maps, which change values, or move them within rows or between rows and columns.

Maps come after the moves. A map that computes does so in the source's dtype, as the reference does: float16 for F16,
and float32 for everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
#: Rows of any dtype, [n, columns].
Values: TypeAlias = NDArray[Any]

#: Number of rows of a matrix that are transposed at a time, so that they stay in a core's own cache.
_ROWS_AT_A_TIME = 64


class Window(NamedTuple):
    """A part of a tensor: rows `start:stop`, all of one matrix, of which the columns `left:right`."""

    start: int
    stop: int
    left: int
    right: int


class Map(Protocol):
    """A change of values; implementations are frozen dataclasses, so that a plan is a value."""

    @property
    def computes(self) -> bool:
        """Whether values become other values; if they do not, the map works on stored values of any dtype."""
        ...

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's.

        Raises:
            ValueError: The input's shape does not suit the map.
        """
        ...

    def window(self, window: Window) -> Window:
        """Return the window of the input that this window of the output is made of."""
        ...

    def apply(self, values: Values, window: Window) -> Values:
        """Make this window of the output from the input's window."""
        ...


class _Elementwise:
    """The common part of maps that compute each value from one value."""

    __slots__ = ()

    @property
    def computes(self) -> bool:
        """Whether values become other values: they do."""
        return True

    def shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        return shape

    def window(self, window: Window) -> Window:
        """Return the same window."""
        return window


@dataclass(frozen=True, slots=True)
class Add(_Elementwise):
    """The addition of a constant, because Gemma and Qwen3-Next store their norms' weights less 1."""

    value: float

    def apply(self, values: Values, window: Window) -> Values:  # noqa: ARG002
        """Return the sums, in the dtype of `values`."""
        return np.asarray(values + values.dtype.type(self.value))


@dataclass(frozen=True, slots=True)
class Scale(_Elementwise):
    """The multiplication by a constant."""

    factor: float

    def apply(self, values: Values, window: Window) -> Values:  # noqa: ARG002
        """Return the products, in the dtype of `values`."""
        return _product(values, np.float32(self.factor))


@dataclass(frozen=True, slots=True)
class ScaleRows(_Elementwise):
    """The multiplication of each band of a matrix's rows by a constant of its own."""

    ends: tuple[int, ...]  #: the row behind the last of each band
    factors: tuple[float, ...]

    def apply(self, values: Values, window: Window) -> Values:
        """Return the products, in the dtype of `values`."""
        bands = np.searchsorted(self.ends, np.arange(window.start, window.stop), side="right")
        return _product(values, np.array(self.factors, np.float32)[bands][:, None])


def _product(values: Values, factors: Any) -> Values:
    """Return products as torch computes them: in float32, rounded to the dtype of `values`."""
    with np.errstate(over="ignore"):  # the caller refuses values that overflow
        return np.asarray((values.astype(np.float32) * factors).astype(values.dtype))


@dataclass(frozen=True, slots=True)
class NegExp(_Elementwise):
    """-exp(x), the decay of linear attention, which is stored as its logarithm.

    The result is rounded from float64, that is, correctly. The reference uses torch's float32 exp, which differs in the
    last place for some values.
    """

    def apply(self, values: Values, window: Window) -> Values:  # noqa: ARG002
        """Return -exp(values), in the dtype of `values`."""
        with np.errstate(over="ignore"):  # the caller refuses values that overflow
            return np.asarray(-np.exp(values.astype(np.float64)).astype(values.dtype))


@dataclass(frozen=True, slots=True)
class Transpose:
    """The transposition of each matrix of a stack, from `rows` rows of `columns` values to the reverse."""

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

    def window(self, window: Window) -> Window:
        """Return the columns that become the window's rows, of the rows that become its columns."""
        matrix, left = divmod(window.start, self.columns)
        first = matrix * self.rows
        return Window(first + window.left, first + window.right, left, left + window.stop - window.start)

    def apply(self, values: Values, window: Window) -> Values:  # noqa: ARG002
        """Return the transposed values."""
        rows = np.empty(values.shape[::-1], values.dtype)
        for start in range(0, len(values), _ROWS_AT_A_TIME):
            some = slice(start, start + _ROWS_AT_A_TIME)
            rows[:, some] = values[some].T
        return rows


@dataclass(frozen=True, slots=True)
class Columns:
    """The choice of `size` of `columns` columns, from `start` on: half of each expert that is stored transposed."""

    columns: int
    start: int
    size: int

    @property
    def computes(self) -> bool:
        """Whether values become other values: they do not."""
        return False

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        if shape[-1] != self.columns or self.start + self.size > self.columns:
            raise ValueError(f"it has {shape[-1]} columns instead of {self.columns}")
        return (*shape[:-1], self.size)

    def window(self, window: Window) -> Window:
        """Return the same rows, and the columns in the input's numbers."""
        return window._replace(left=self.start + window.left, right=self.start + window.right)

    def apply(self, values: Values, window: Window) -> Values:  # noqa: ARG002
        """Return the same values, because the input's window has no others."""
        return values


@dataclass(frozen=True, slots=True)
class TiledColumns:
    """The rearrangement of `moves.Tiled`, for columns."""

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

    def window(self, window: Window) -> Window:
        """Return the same rows with all columns."""
        return window._replace(left=0, right=self.groups * self.heads * self.size)

    def apply(self, values: Values, window: Window) -> Values:
        """Return the same rows with their columns in the order of tiles."""
        grouped = values.reshape(-1, self.groups, self.heads, self.size)
        return grouped.swapaxes(1, 2).reshape(values.shape)[:, window.left : window.right]


@dataclass(frozen=True, slots=True)
class StridedColumns:
    """The choice of every `step`-th column, from `phase` on: `moves.Strided`, for columns."""

    step: int
    phase: int

    @property
    def computes(self) -> bool:
        """Whether values become other values: they do not."""
        return False

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        if shape[-1] % self.step:
            raise ValueError(f"its {shape[-1]} columns do not alternate between {self.step}")
        return (*shape[:-1], shape[-1] // self.step)

    def window(self, window: Window) -> Window:
        """Return the same rows, and the columns from the first to the last that are chosen."""
        right = (window.right - 1) * self.step + self.phase + 1
        return window._replace(left=window.left * self.step + self.phase, right=right)

    def apply(self, values: Values, window: Window) -> Values:  # noqa: ARG002
        """Return the chosen columns."""
        return values[:, :: self.step]


@dataclass(frozen=True, slots=True)
class ZeroRows:
    """The addition of `count` rows of zeros behind a matrix of `rows` rows: an embedding that lacks tokens."""

    rows: int
    count: int

    @property
    def computes(self) -> bool:
        """Whether values become other values: they do not."""
        return False

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        if len(shape) != 2 or shape[0] != self.rows:
            raise ValueError(f"its shape is {list(shape)} instead of {self.rows} rows")
        return (self.rows + self.count, shape[1])

    def window(self, window: Window) -> Window:
        """Return the rows that the input has, at least one."""
        return window._replace(start=min(window.start, self.rows - 1), stop=min(window.stop, self.rows))

    def apply(self, values: Values, window: Window) -> Values:
        """Return the rows with zeros behind them; all bits of a zero are 0 in every dtype."""
        rows = np.zeros((window.stop - window.start, values.shape[1]), values.dtype)
        given = max(min(window.stop, self.rows) - window.start, 0)
        rows[:given] = values[:given]
        return rows
