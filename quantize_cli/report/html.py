"""The report as an HTML page that needs no other file, and its summary for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from quantize_cli.report import figures, tables
from quantize_cli.report.model import Report

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
section { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; }
th, td { border-bottom: 1px solid #8884; padding: .25rem .75rem .25rem 0; text-align: left; white-space: nowrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.w { border-left: .25rem solid #d90; padding-left: .75rem; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body>
{body}
</body>
</html>
"""


def render(reports: Sequence[Report]) -> str:
    """Render a page with a final newline: a comparison if there are several reports, then each report."""
    formats = f"as {reports[0].format}" if len(reports) == 1 else f"in {len(reports)} formats"
    title = f"{reports[0].model} {formats}"
    body = []
    if len(reports) > 1:
        body += [_heading(1, title), _table(tables.comparison(reports))]
    for report in reports:
        body += [*_summary(report), _heading(2, "Tensors"), _table(tables.tensors(report))]
    body.append(f"<p>Written by {_escaped(reports[0].generator)}.</p>")
    return _PAGE.format(title=_escaped(title), style=_STYLE, body="\n".join(body))


def summary(report: Report) -> str:
    """Render all but the table of tensors, as a part of a page."""
    return "\n".join(_summary(report))


def _summary(report: Report) -> Iterator[str]:
    yield _heading(1, f"{report.model} as {report.format}")
    yield _table(tables.totals(report))
    for warning in report.warnings:
        yield f'<p class="w"><b>Warning:</b> {_escaped(warning)}</p>'
    yield _heading(2, "Types")
    yield _table(tables.types(report))
    largest = tables.largest_errors(report)
    if largest.rows:
        yield _heading(2, "Largest errors")
        yield _table(largest)


def _heading(level: int, text: str) -> str:
    return f"<h{level}>{_escaped(text)}</h{level}>"


def _table(table: tables.Table) -> str:
    rows = [_row("th", table.header, table.text_columns)]
    rows += [_row("td", row, table.text_columns) for row in table.rows]
    return "\n".join(["<section><table>", *rows, "</table></section>"])


def _row(tag: str, cells: Sequence[str], text_columns: int) -> str:
    texts = [f"<{tag}>{_escaped(cell)}</{tag}>" for cell in cells[:text_columns]]
    numbers = [f'<{tag} class="n">{_escaped(cell)}</{tag}>' for cell in cells[text_columns:]]
    return "".join(["<tr>", *texts, *numbers, "</tr>"])


def _escaped(text: str) -> str:
    return html.escape(figures.printable(text))
