"""What is measured of a row: mergeable sums, from which errors are reduced once (see errors.py).

A row's sums depend on nothing but that row and are taken in a fixed order (see sums_of_rows.py); those of a tensor are
merged from groups of its rows, which do not depend on how the rows come. Hence slabs and threads never change a digit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Columns of a table of sums, float64[n, SUMS]: x is the source, y what a reader of the file decodes, d their
#: difference, w the importance of a column, where there is one.
SUM_X2, SUM_Y2, SUM_D2, SUM_WX2, SUM_WD2, MAX_D = range(6)
SUMS = 6

Sums = NDArray[np.float64]

#: The sums of no row.
NOTHING: Sums = np.empty((0, SUMS))

#: Rows that are merged at a time. A tensor of one column has a row for each weight, and 48 bytes of sums for each row.
GROUP = 1 << 16


def merge(sums: Sums) -> Sums:
    """Merge the sums of several rows into those of one: float64[n, SUMS] -> float64[SUMS], n >= 1.

    A tensor is merged from its rows, a type or a whole file from its tensors.
    """
    if len(sums) == 1:  # a model may have very many tensors of one row
        row: Sums = sums[0].copy()
        return row
    with np.errstate(invalid="ignore"):  # inf - inf, where decoded values overflowed
        merged = np.ascontiguousarray(sums.T).sum(axis=1)
    merged[MAX_D] = sums[:, MAX_D].max()
    return np.asarray(merged, dtype=np.float64)


def merge_each(sums: Sums, rows: int) -> Sums:
    """Merge the sums of every `rows` rows into those of one: float64[n * rows, SUMS] -> float64[n, SUMS].

    The digits are those of `merge`.
    """
    groups = sums.reshape(-1, rows, SUMS)
    with np.errstate(invalid="ignore"):
        merged = np.ascontiguousarray(groups.transpose(0, 2, 1)).sum(axis=2)
    merged[:, MAX_D] = groups[:, :, MAX_D].max(axis=1)
    return np.asarray(merged, dtype=np.float64)


class RunningSums:
    """Merges tables of sums as they come: groups of `GROUP` rows, whatever the sizes of the tables, then the groups.

    So the digits do not depend on how rows come, and few tables are held.

    Args:
        waiting: Rows that are not merged yet, float64[n, SUMS]; they and `groups` are what `held` has returned.
        groups: Merged groups, float64[m, SUMS].
    """

    def __init__(self, waiting: Sums = NOTHING, groups: Sums = NOTHING) -> None:
        self._waiting: list[Sums] = [waiting]
        self._rows = len(waiting)
        self._groups: list[Sums] = list(groups)

    def held(self) -> tuple[Sums, Sums]:
        """Return the rows that are not merged yet, and the merged groups."""
        return np.concatenate([NOTHING, *self._waiting]), np.array(self._groups).reshape(-1, SUMS)

    def add(self, sums: Sums) -> None:
        """Add the sums of more rows, float64[n, SUMS]."""
        self._waiting.append(sums)
        self._rows += len(sums)
        while self._rows >= GROUP:
            self._merge(GROUP)

    def take(self) -> Sums:
        """Return the sums of all rows since the last call, at least one, float64[1, SUMS]."""
        if self._rows:
            self._merge(self._rows)
        merged = merge(np.stack(self._groups)).reshape(1, -1)
        self._groups.clear()
        return merged

    def _merge(self, rows: int) -> None:
        table = np.concatenate(self._waiting)
        self._groups.append(merge(table[:rows]))
        self._waiting = [table[rows:].copy()]  # a view would hold the whole table
        self._rows -= rows
