"""The error by layer and kind as a small table of coloured cells, for pages where no script runs."""

from __future__ import annotations

import html
import math

from quantize_cli.report import figures
from quantize_cli.report.model import Report
from quantize_cli.report.places import places

#: Most cells; a model with more has its map only where scripts run.
MOST_CELLS = 4000


def has_table(report: Report) -> bool:
    """Tell whether there is a map: some tensor has an error, and the map is not too large."""
    return bool(table(report))


def table(report: Report) -> str:
    """Render kinds as rows and layers as columns; the larger the relative RMSE, the stronger the colour.

    Kinds without any error are left out. The text is empty if nothing is left, or if there are more than MOST_CELLS.
    """
    where = places(report.tensors)
    errors: dict[int, dict[int, float]] = {}
    for tensor, kind, layer in zip(report.tensors, where.kind, where.layer, strict=True):
        error = tensor.error.relative_rmse
        if error and math.isfinite(error):
            errors.setdefault(kind, {})[layer] = error
    if not errors or len(errors) * len(where.layers) > MOST_CELLS:
        return ""
    most = max(error for row in errors.values() for error in row.values())
    head = "".join(f"<th>{layer}</th>" for layer in where.layers)
    rows = "\n".join(
        f"<tr><th>{html.escape(figures.printable(where.kinds[kind]))}</th>"
        f"{''.join(_cell(row.get(layer), most) for layer in range(len(where.layers)))}</tr>"
        for kind, row in sorted(errors.items())
    )
    return f'<div class="scroll"><table class="heat"><tr><th></th>{head}</tr>\n{rows}\n</table></div>'


def _cell(error: float | None, most: float) -> str:
    if error is None:
        return "<td></td>"
    return f'<td style="--heat:{error / most:.2f}" title="{figures.percent(error)}"></td>'
