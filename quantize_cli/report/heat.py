"""A figure by layer and kind as a small table of coloured cells, for pages where no script runs."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantize_cli.report import figures
from quantize_cli.report.model import Report
from quantize_cli.report.places import Places, places

#: Most cells; a model with more has its map only where scripts run.
MOST_CELLS = 4000


def has_table(report: Report) -> bool:
    """Tell whether there is a map: some tensor has an error, and the map is not too large."""
    return bool(table(report))


def table(report: Report) -> str:
    """Render kinds as rows and layers as columns; the larger the relative RMSE, the stronger the colour.

    Kinds without any error are left out. The text is empty if nothing is left, or if there are more than MOST_CELLS.
    """
    errors = [tensor.error.relative_rmse for tensor in report.tensors]
    told = [error if error and math.isfinite(error) else None for error in errors]
    most = max(filter(None, told), default=1.0)
    return cells(
        places(report.tensors),
        [None if error is None else Cell(error / most, figures.percent(error)) for error in told],
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """How a tensor is shown."""

    heat: float  #: 0 to 1, the strength of the colour
    title: str  #: the figure


def cells(where: Places, shown: Sequence[Cell | None]) -> str:
    """Render kinds as rows and layers as columns; `shown` has a cell for each tensor, or None to leave it empty.

    Kinds without any cell are left out. The text is empty if nothing is left, or if there are more than MOST_CELLS.
    """
    rows: dict[int, dict[int, Cell]] = {}
    for cell, kind, layer in zip(shown, where.kind, where.layer, strict=True):
        if cell is not None:
            rows.setdefault(kind, {})[layer] = cell
    if not rows or len(rows) * len(where.layers) > MOST_CELLS:
        return ""
    head = "".join(f"<th>{layer}</th>" for layer in where.layers)
    body = "\n".join(
        f"<tr><th>{html.escape(figures.printable(where.kinds[kind]))}</th>"
        f"{''.join(_cell(row.get(layer)) for layer in range(len(where.layers)))}</tr>"
        for kind, row in sorted(rows.items())
    )
    return f'<div class="scroll"><table class="heat"><tr><th></th>{head}</tr>\n{body}\n</table></div>'


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "<td></td>"
    return f'<td style="--heat:{cell.heat:.2f}" title="{html.escape(cell.title)}"></td>'
