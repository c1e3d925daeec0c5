"""The tables that renderers for a terminal share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace

from rich import box
from rich.console import Console, ConsoleOptions
from rich.table import Table


class Narrowing:
    """A table without the columns for which the terminal is too narrow.

    Args:
        table: With all columns.
        shown_from: Column -> the width of the narrowest terminal that shows it; all terminals show the others.
    """

    def __init__(self, table: Table, shown_from: Mapping[str, int]) -> None:
        self._table = table
        self._shown_from = shown_from

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Yield the table."""
        fitting = copy(self._table)
        shown = [c for c in fitting.columns if options.max_width >= self._shown_from.get(str(c.header), 0)]
        fitting.columns = [replace(column, _index=index) for index, column in enumerate(shown)]
        yield fitting


def facts() -> Table:
    """Make a table without lines; its first column holds labels and has one width, so that such tables line up."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", width=len("quantized"))
    return table


def listing() -> Table:
    """Make a table with a line below its head."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
