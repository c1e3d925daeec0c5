"""One table for every benchmark: what, ours, the reference's, their ratio, and what is asked of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import NamedTuple

from _machine import head_line

_WIDTHS = (34, 12, 12, 21, 6, 5)


class Row(NamedTuple):
    """One line. Figures carry units; `kept` is None where nothing is asked, and `right` False where bytes differ."""

    what: str
    ours: str
    reference: str = ""
    ratio: str = ""
    asked: str = ""
    kept: bool | None = None
    remark: str = ""
    right: bool = True


def ratio(values: Iterable[float]) -> str:
    """Format the median and the range."""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2] if len(ordered) % 2 else sum(ordered[len(ordered) // 2 - 1 :][:2]) / 2
    return f"{middle:.2f} ({ordered[0]:.2f}-{ordered[-1]:.2f})" if len(ordered) > 1 else f"{middle:.2f}"


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the argument that `show` needs."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows-only", action="store_true", help="leave out the lines above the rows")
    return made


def head() -> None:
    """Print the machine and the names of the columns."""
    print(head_line() + "\n")
    _line("what", "quantize", "reference", "ratio (min-max)", "asked", "", "remark")
    _line(*("-" * width for width in _WIDTHS), "------")


def show(rows: Iterable[Row], arguments: argparse.Namespace) -> None:
    """Print the rows as they come, below the machine they come from; exits with 1 where one is wrong."""
    if not arguments.rows_only:
        head()
    right = True
    for row in rows:
        verdict = {None: "", True: "ok", False: "short"}[row.kept]
        _line(row.what, row.ours, row.reference, row.ratio, row.asked, verdict, row.remark)
        right &= row.right
    sys.exit(not right)


def _line(*cells: str) -> None:
    padded = [f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=False)]
    print(f"| {' | '.join([*padded, *cells[len(_WIDTHS) :]])} |", flush=True)
