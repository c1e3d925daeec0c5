"""The report as an HTML page that needs no other file, and its summary for notebooks.

The page holds all figures as HTML. Its scripts add charts, and make the table of tensors searchable. A policy in the
page forbids any other script, and forbids to load anything.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterator, Sequence
from importlib import resources

from quantize_cli.report import figures, heat, tables
from quantize_cli.report.model import Report
from quantize_cli.report.page_data import packed

#: Most rows of tensors that the HTML itself holds, in all reports of a page together; the script shows all tensors.
MOST_ROWS = 1000

#: Most rows of the tables of kinds and of reasons, which are short but for odd models.
MOST_KINDS = 200

#: The scripts of the page in `assets/`: that of its head, and those at its end.
_FIRST = ("early.js",)
_LAST = (("echarts/echarts.min.js",), ("data.js", "table.js", "charts.js", "page.js"))

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; {allowed}">
<title>{title}</title>
<style>
{style}</style>
{first}
</head>
<body>
<main>
{body}
</main>
<script type="application/octet-stream" id="data">{data}</script>
{last}
</body>
</html>
"""


def render(reports: Sequence[Report]) -> str:
    """Render a page with a final newline: a comparison if there are several reports, then each report."""
    first, *last = ("".join(map(_asset, names)) for names in (_FIRST, *_LAST))
    formats = f"as {reports[0].format}" if len(reports) == 1 else f"in {len(reports)} formats"
    title = f"{reports[0].model} {formats}"
    body = [*_ladder(title, reports)] if len(reports) > 1 else []
    for number, report in enumerate(reports):
        body += [f'<section class="report" id="report-{number}">', *_report(report, MOST_ROWS // len(reports))]
        body.append("</section>")
    body.append(f'<p class="faint">Written by {_escaped(reports[0].generator)}.</p>')
    return _PAGE.format(
        title=_escaped(title),
        allowed=f"script-src {' '.join(map(_policy, (first, *last)))}",
        style=_asset("style.css"),
        first=_script(first),
        body="\n".join(body),
        data=packed(reports),
        last="\n".join(map(_script, last)),
    )


def summary(report: Report) -> str:
    """Render all but the table of tensors as a part of a page, without a script, in the page's own colours."""
    parts = [_heading(3, f"{report.model} as {report.format}"), _table(tables.totals(report)), *_warnings(report)]
    parts += [_heading(4, "Types"), _table(tables.types(report)), *_largest(report, 4)]
    parts += [_heading(4, "Relative RMSE by layer and kind"), heat.table(report)] if heat.has_table(report) else []
    return "\n".join([f'<div class="quantize-report"><style>{_asset("notebook.css")}</style>', *parts, "</div>"])


def comparison(reports: Sequence[Report]) -> str:
    """Render the table that compares formats as a part of a page."""
    style = f"<style>{_asset('notebook.css')}</style>"
    return "\n".join(['<div class="quantize-report">', style, _table(tables.comparison(reports)), "</div>"])


def _ladder(title: str, reports: Sequence[Report]) -> Iterator[str]:
    yield _heading(1, title)
    yield _heading(2, "Size against error")
    yield '<div class="chart" data-chart="curve"></div>'
    yield (
        '<p class="faint drawn">A line joins the formats that no other one beats in both size and error. In the band, '
        "from 4 to 3 bits per weight, errors begin to grow quickly.</p>"
    )
    yield _table(tables.comparison(reports))
    yield '<nav class="tabs" aria-label="Formats">'
    for number, report in enumerate(reports):
        yield f'<a href="#report-{number}">{_escaped(report.format)}</a>'
    yield "</nav>"


def _report(report: Report, most_rows: int) -> Iterator[str]:
    yield _heading(1, f"{report.model} as {report.format}")
    yield _tiles(tables.headline(report))
    yield from _warnings(report)
    gates = tables.gates(report)
    if gates.rows:
        yield _heading(2, "Gates")
        yield _table(gates)
    yield _heading(2, "Where the bytes are")
    yield '<div class="chart" data-chart="bytes"></div>'
    yield _folded("Kinds of tensors", tables.beginning(tables.kinds(report), MOST_KINDS))
    yield _heading(2, "Error by layer and kind")
    yield f'<div class="chart" data-chart="heat">{heat.table(report)}</div>'
    yield _heading(2, "Distribution of errors")
    yield '<div class="chart" data-chart="distribution"></div>'
    yield _folded("Tensors by SQNR", tables.distribution(report))
    yield from _largest(report, 2)
    yield _heading(2, "Types, and why")
    yield _table(tables.types(report))
    yield _table(tables.beginning(tables.reasons(report), MOST_KINDS))
    yield _heading(2, "Tensors")
    yield from _tensors(report, most_rows)
    yield _heading(2, "The run")
    yield _table(tables.totals(report))


def _tensors(report: Report, most: int) -> Iterator[str]:
    table, count = tables.tensors(report), len(report.tensors)
    rows = table.rows
    if count > most:
        by_error = sorted(range(count), key=lambda index: -(report.tensors[index].error.relative_rmse or 0))
        rows = [rows[index] for index in by_error[:most]]
        yield (
            f'<p class="static">These are the {most:,} tensors with the largest errors. The page shows all {count:,} '
            "where scripts may run, and so does a report in Markdown or JSON.</p>"
        )
    yield f'<div class="tensors">{_table(tables.Table(table.header, rows, table.text_columns))}</div>'


def _largest(report: Report, level: int) -> Iterator[str]:
    largest = tables.largest_errors(report)
    if largest.rows:
        yield _heading(level, "Largest errors")
        yield _table(largest)


def _warnings(report: Report) -> Iterator[str]:
    for warning in report.warnings:
        yield f'<p class="warning"><b>Warning:</b> {_escaped(warning)}</p>'


def _tiles(rows: Sequence[tables.Row]) -> str:
    tiles = "".join(f"<div><dt>{_escaped(label)}</dt><dd>{_escaped(value)}</dd></div>" for label, value in rows)
    return f'<dl class="tiles">{tiles}</dl>'


def _folded(title: str, table: tables.Table) -> str:
    return f"<details><summary>{_escaped(title)}</summary>{_table(table)}</details>" if table.rows else ""


def _heading(level: int, text: str) -> str:
    return f"<h{level}>{_escaped(text)}</h{level}>"


def _table(table: tables.Table) -> str:
    rows = [_row("td", row, table.text_columns) for row in table.rows]
    head = _row("th", table.header, table.text_columns)
    return "\n".join(
        ['<div class="scroll"><table>', f"<thead>{head}</thead>", "<tbody>", *rows, "</tbody>", "</table></div>"]
    )


def _row(tag: str, cells: Sequence[str], text_columns: int) -> str:
    texts = [f"<{tag}>{_escaped(cell)}</{tag}>" for cell in cells[:text_columns]]
    numbers = [f'<{tag} class="n">{_escaped(cell)}</{tag}>' for cell in cells[text_columns:]]
    return "".join(["<tr>", *texts, *numbers, "</tr>"])


def _escaped(text: str) -> str:
    return html.escape(figures.printable(text))


def _asset(name: str) -> str:
    return resources.files("quantize_cli.report").joinpath("assets", name).read_text(encoding="utf-8")


def _script(text: str) -> str:
    return f"<script>{text}</script>"


def _policy(script: str) -> str:
    """Allow exactly this script: its SHA-256 as a source expression of the Content Security Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
