"""A table in plain text, because a library for tables takes a tenth of a second to import."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

#: A last column that would be narrower than this is not folded.
_NARROW = 20


def lines(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield the lines of a table that is as wide as the terminal at most; its last column is folded.

    Args:
        header: Titles of the columns.
        rows: Cells.
        right: Numbers of the columns that are aligned to the right.
    """
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    before = sum(widths[:-1]) + 2 * len(widths[:-1])
    last = max(shutil.get_terminal_size().columns - before, _NARROW)
    for row in (header, ["-" * width for width in (*widths[:-1], min(widths[-1], last))], *rows):
        *cells, folded = row
        start = "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=False))
        )
        for number, part in enumerate(textwrap.wrap(folded, last) or [""]):
            yield f"{' ' * len(start) if number else start}  {part}".rstrip()
