"""Moves: rearrangements of rows, as pure maps from output rows to source rows.

Lay the rows of all sources of a tensor end to end. A move maps the number of each output row to the number of one of
those rows. It never looks inside a row, so it serves rows of any dtype, and it gives the byte ranges that a slab needs
before anything is read. A move treats a vector as a column, whose elements are the rows. Stacking experts and joining
tensors are the identity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Numbers of rows, int64[n].
RowNumbers: TypeAlias = NDArray[np.int64]
Shape: TypeAlias = tuple[int, ...]


class Move(Protocol):
    """A rearrangement; implementations are frozen dataclasses, so that a plan is a value."""

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's.

        Raises:
            ValueError: The input's shape does not suit the move.
        """
        ...

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        ...


@dataclass(frozen=True, slots=True)
class RotaryInterleave:
    """The change from rotated halves (Hugging Face) to rotated neighbours (the original Llama, ggml's "norm" RoPE).

    A head's rows 0 .. d/2-1 pair with its rows d/2 .. d-1; after the move row 2i pairs with row 2i+1.
    """

    head: int  #: rows of one attention head

    def shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        if row_count(shape) % self.head:
            raise ValueError(f"its {row_count(shape)} rows are not heads of {self.head}")
        return shape

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        within = rows % self.head
        return rows - within + within % 2 * (self.head // 2) + within // 2


@dataclass(frozen=True, slots=True)
class Rows:
    """The choice of `size` rows of every `every`, from `start` on: a split, a slice, an expert's half.

    If `every` is the whole length of the rows' dimension, that dimension becomes `size`. If it is a part of the length,
    the groups become a new dimension. A vector stays a vector.
    """

    every: int
    start: int
    size: int

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        axis = max(len(shape) - 2, 0)
        groups, rest = divmod(shape[axis], self.every)
        if rest or self.start + self.size > self.every:
            raise ValueError(f"its {shape[axis]} rows are not groups of {self.every}")
        if len(shape) == 1:
            return (groups * self.size,)
        return (*shape[:axis], *((groups,) if groups > 1 else ()), self.size, *shape[axis + 1 :])

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        return rows // self.size * self.every + self.start + rows % self.size


@dataclass(frozen=True, slots=True)
class Tiled:
    """The change from heads grouped by their key head to tiles of one head of each group; rows before `first` stay.

    Rows (group, head of the group, row of the head) become (head of the group, group, row of the head), the order in
    which ggml repeats the key heads.
    """

    groups: int
    heads: int  #: heads of a group
    size: int  #: rows of a head
    first: int = 0

    def shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        if row_count(shape) != (rows := self.first + self.groups * self.heads * self.size):
            raise ValueError(f"it has {row_count(shape)} rows instead of {rows}")
        return shape

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        head, row = np.divmod(rows - self.first, self.size)
        nth, group = np.divmod(head, self.groups)
        return np.where(rows < self.first, rows, (group * self.heads + nth) * self.size + row + self.first)


@dataclass(frozen=True, slots=True)
class Strided:
    """The choice of every `step`-th row, from `phase` on: gates and other projections whose rows alternate."""

    step: int
    phase: int

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        axis = max(len(shape) - 2, 0)
        if shape[axis] % self.step:
            raise ValueError(f"its {shape[axis]} rows do not alternate between {self.step}")
        return (*shape[:axis], shape[axis] // self.step, *shape[axis + 1 :])

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        return rows * self.step + self.phase


@dataclass(frozen=True, slots=True)
class Gathered:
    """The change from parts interleaved by group to the first part of all groups, then the second, and so on."""

    groups: int
    parts: tuple[int, ...]  #: rows of each part of a group

    def shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        if row_count(shape) != (rows := self.groups * sum(self.parts)):
            raise ValueError(f"it has {row_count(shape)} rows instead of {rows}")
        return shape

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        sizes = np.array(self.parts)
        starts = np.cumsum(sizes) - sizes
        part = np.searchsorted(self.groups * starts, rows, side="right") - 1
        group, row = np.divmod(rows - self.groups * starts[part], sizes[part])
        return np.asarray(group * sum(self.parts) + starts[part] + row)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The choice of some rows of a matrix, in this order."""

    rows: tuple[int, ...]

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        if len(shape) != 2 or max(self.rows) >= shape[0]:
            raise ValueError(f"it is not a matrix with more than {max(self.rows)} rows")
        return (len(self.rows), shape[1])

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        return np.asarray(self.rows, np.int64)[rows]


@dataclass(frozen=True, slots=True)
class Squeeze:
    """The removal of dimensions of 1, as in torch.squeeze; all rows stay in their places."""

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        return tuple(size for size in shape if size != 1) or (1,)

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        return rows


@dataclass(frozen=True, slots=True)
class Folded:
    """The change from a vector to rows of `columns` elements."""

    columns: int

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        if len(shape) != 1 or shape[0] % self.columns:
            raise ValueError(f"it is not a vector of rows of {self.columns}")
        return (shape[0] // self.columns, self.columns)

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the same rows: the reader cuts a vector into rows of the output's length."""
        return rows


@dataclass(frozen=True, slots=True)
class RotarySplit:
    """The change from rotated neighbours to rotated halves, in the first `rotated` rows of each head; others stay.

    It is the inverse of `RotaryInterleave` for heads of which rope rotates all rows.
    """

    head: int  #: rows of one attention head
    rotated: int

    def shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        if row_count(shape) % self.head:
            raise ValueError(f"its {row_count(shape)} rows are not heads of {self.head}")
        if self.rotated % 2 or self.rotated > self.head:
            raise ValueError(f"rope would rotate {self.rotated} rows of a head of {self.head}")
        return shape

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the input row of each of these output rows."""
        within, half = rows % self.head, self.rotated // 2
        source = np.where(within < half, 2 * within, 2 * (within - half) + 1)
        return np.where(within < self.rotated, rows - within + source, rows)


@dataclass(frozen=True, slots=True)
class Reshaped:
    """The change to another shape whose rows are as long; all rows stay in their places."""

    to: Shape

    def shape(self, shape: Shape) -> Shape:
        """Return the row-major shape of the output, given the input's."""
        if math.prod(shape) != math.prod(self.to) or (len(shape) > 1 and shape[-1] != self.to[-1]):
            raise ValueError(f"its shape {list(shape)} cannot become {list(self.to)}")
        return self.to

    def where(self, rows: RowNumbers) -> RowNumbers:
        """Return the same rows."""
        return rows


def moved(moves: Sequence[Move], rows: RowNumbers) -> RowNumbers:
    """Return, for each of these rows after all `moves`, its row among those of all sources end to end."""
    for move in reversed(moves):
        rows = move.where(rows)
    return rows


def row_count(shape: Shape) -> int:
    """Return the number of rows as moves count them; those of a vector are its elements."""
    return math.prod(shape[:-1]) if len(shape) > 1 else shape[0]
