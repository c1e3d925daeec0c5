"""The grids of IQ3_XXS and IQ3_S: which groups of four levels can be stored, and what lies near those that cannot.

A level 0..7 stands for the magnitude 2 * level + 1 (in the search; what IQ3_XXS decodes is a little different). Of the
8^4 *patterns*, four levels of 3 bits, a grid holds 256 or 512 *points*; a pattern off the grid has a list of candidate
points: those of its two or three smallest distances, by distance and then by number (ggml-quants.c,
`iq3xs_init_impl`).

Two lists are kept for a pattern. In the *short* list those points are missing that another one outdoes whatever the
weights, as long as every element is nearer to its level than to any other: a point is outdone if in every coordinate
the other one lies between it and the pattern. Roundings in float32 are monotone, so they never turn that around.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.grids.points import grid_points

#: Type -> how many of the smallest distances its lists reach to, and what its levels decode to (ggml-common.h).
_GRIDS = {
    "IQ3_XXS": (2, (4, 12, 20, 28, 36, 44, 52, 62)),
    "IQ3_S": (3, (1, 3, 5, 7, 9, 11, 13, 15)),
}
PATTERNS = 8**4
#: More points than the longest list has.
_LONGEST = 64
#: Set in the code of a pattern's list when the pattern itself is the point.
WAS_ON_GRID = 1 << 16

Table: TypeAlias = NDArray[np.int32]
#: Parts of a table: number of the point at each pattern, or -1; the short list of each pattern; the full list. A list
#: is given as where it starts, times 2^LENGTH, and how long it is. Then come the lists themselves: codes of points,
#: their magnitudes 2 * level + 1 as nibbles. A pattern on the grid has just itself, with WAS_ON_GRID.
NUMBERS, SHORT, FULL, _LISTS = 0, PATTERNS, 2 * PATTERNS, 3 * PATTERNS
LENGTH = 8


class Iq3Grid(NamedTuple):
    """A grid: the table for searches, and what point p decodes to, flat at 4 p."""

    table: Table
    values: NDArray[np.float32]


def _levels(patterns: NDArray[np.int32]) -> NDArray[np.int32]:
    """Unpack patterns [...] to levels [..., 4]."""
    return np.asarray(patterns[..., None] >> np.arange(0, 12, 3) & 7, np.int32)


def _codes(levels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Pack levels [..., 4] as magnitudes, in nibbles."""
    return np.asarray(((2 * levels + 1) << np.arange(0, 16, 4)).sum(-1), np.int32)


def _spans(deltas: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Give each delta -7..7 of levels [..., 4] 14 bits: the steps from 0 to it, on the side where it lies."""
    steps = (np.uint64(1) << np.abs(deltas).astype(np.uint64)) - np.uint64(1)
    sided = steps << np.where(deltas < 0, 7, 0).astype(np.uint64)
    return np.asarray(np.bitwise_or.reduce(sided << np.arange(0, 56, 14, dtype=np.uint64), axis=-1), np.uint64)


def _nearest(points: NDArray[np.int32], shells: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """List the candidates of every pattern: numbers of points [PATTERNS, _LONGEST], and which of them are meant."""
    levels = _levels(np.arange(PATTERNS, dtype=np.int32))
    distances = sum((levels[:, i, None] - points[:, i]) ** 2 for i in range(4))
    keys = np.sort(distances * len(points) + np.arange(len(points), dtype=np.int32), axis=1)[:, :_LONGEST]
    distances, numbers = np.divmod(keys, np.int32(len(points)))
    shell = np.cumsum(np.diff(distances, axis=1, prepend=np.int32(-1)) > 0, axis=1)
    return numbers, shell <= np.where(distances[:, :1] == 0, 1, shells)


def _outdone(deltas: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell which candidates [PATTERNS, _LONGEST], given as points minus pattern [..., 4], an earlier one outdoes."""
    spans = _spans(deltas)
    outdone = np.zeros(spans.shape, np.bool_)
    for i in range(_LONGEST - 1):
        outdone[:, i + 1 :] |= (spans[:, i, None] & ~spans[:, i + 1 :]) == 0
    return outdone


@cache
def iq3_grid(name: str) -> Iq3Grid:
    """Build the tables of the type of that name, in some 0.1 s."""
    shells, values = _GRIDS[name]
    points = grid_points(name).astype(np.int32)
    numbers = np.full(PATTERNS, -1, np.int32)
    numbers[(points << np.arange(0, 12, 3)).sum(axis=1)] = np.arange(len(points))

    candidates, meant = _nearest(points, shells)
    lists = points[candidates]
    outdone = _outdone(lists - _levels(np.arange(PATTERNS, dtype=np.int32))[:, None])
    codes = _codes(lists) | np.where(numbers >= 0, WAS_ON_GRID, 0).astype(np.int32)[:, None]
    short = meant & ~outdone
    lengths = np.concatenate([short.sum(axis=1), meant.sum(axis=1)])
    starts = _LISTS + np.cumsum(lengths) - lengths
    parts = numbers, starts << LENGTH | lengths, codes[short], codes[meant]
    return Iq3Grid(np.concatenate(parts).astype(np.int32), np.array(values, np.float32)[points].reshape(-1))
