"""The report as an HTML page that needs no other file, and its summary for notebooks.

The page holds all figures as HTML. Its scripts add charts, and make the table of tensors searchable. A policy in the
page forbids any other script, and forbids to load anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quantize_cli.report import heat, markup, methods, tables
from quantize_cli.report.model import Report
from quantize_cli.report.page_data import packed

#: Most rows of tensors that the HTML itself holds, in all reports of a page together; the script shows all tensors.
MOST_ROWS = 1000

#: Most rows of the tables of kinds and of reasons, which are short but for odd models.
MOST_KINDS = 200

#: The scripts of the page beside those of every page.
_SCRIPTS = ("report.js", "table.js", "charts.js", "page.js")


def render(reports: Sequence[Report]) -> str:
    """Render a page with a final newline: a comparison if there are several reports, then each report."""
    formats = f"as {reports[0].format}" if len(reports) == 1 else f"in {len(reports)} formats"
    title = f"{reports[0].model} {formats}"
    body = [*_ladder(title, reports)] if len(reports) > 1 else []
    for number, report in enumerate(reports):
        body += [f'<section class="report" id="report-{number}">', *_report(report, MOST_ROWS // len(reports))]
        body.append("</section>")
    body.append(markup.footer(reports[0].generator))
    return markup.page(title, body, packed(reports), _SCRIPTS)


def summary(report: Report) -> str:
    """Render all but the table of tensors as a part of a page, without a script, in the page's own colours."""
    parts = [
        markup.heading(3, f"{report.model} as {report.format}"),
        markup.table(tables.totals(report)),
        *map(markup.warning, report.warnings),
    ]
    parts += _method(report, 4)
    parts += [markup.heading(4, "Types"), markup.table(tables.types(report)), *_largest(report, 4)]
    parts += (
        [markup.heading(4, "Relative RMSE by layer and kind"), heat.table(report)] if heat.has_table(report) else []
    )
    return "\n".join([f'<div class="quantize-report"><style>{markup.asset("notebook.css")}</style>', *parts, "</div>"])


def comparison(reports: Sequence[Report]) -> str:
    """Render the table that compares formats as a part of a page."""
    style = f"<style>{markup.asset('notebook.css')}</style>"
    return "\n".join(['<div class="quantize-report">', style, markup.table(tables.comparison(reports)), "</div>"])


def _ladder(title: str, reports: Sequence[Report]) -> Iterator[str]:
    yield markup.heading(1, title)
    yield markup.heading(2, "Size against error")
    yield markup.chart("curve")
    yield (
        '<p class="faint drawn">A line joins the formats that no other one beats in both size and error. In the band, '
        "from 4 to 3 bits per weight, errors begin to grow quickly.</p>"
    )
    yield markup.table(tables.comparison(reports))
    yield '<nav class="tabs" aria-label="Formats">'
    for number, report in enumerate(reports):
        yield f'<a href="#report-{number}">{markup.escaped(report.format)}</a>'
    yield "</nav>"


def _report(report: Report, most_rows: int) -> Iterator[str]:
    yield markup.heading(1, f"{report.model} as {report.format}")
    yield markup.tiles(tables.headline(report))
    yield from map(markup.warning, report.warnings)
    gates = tables.gates(report)
    if gates.rows:
        yield markup.heading(2, "Gates")
        yield markup.table(gates)
    yield from _method(report, 2)
    yield markup.heading(2, "Where the bytes are")
    yield markup.chart("bytes")
    yield markup.folded("Kinds of tensors", tables.beginning(tables.kinds(report), MOST_KINDS))
    yield markup.heading(2, "Error by layer and kind")
    yield markup.chart("heat", heat.table(report))
    yield markup.heading(2, "Distribution of errors")
    yield markup.chart("distribution")
    yield markup.folded("Tensors by SQNR", tables.distribution(report))
    yield from _largest(report, 2)
    yield markup.heading(2, "Types, and why")
    yield markup.table(tables.types(report))
    yield markup.table(tables.beginning(tables.reasons(report), MOST_KINDS))
    yield markup.heading(2, "Tensors")
    yield from _tensors(report, most_rows)
    yield markup.heading(2, "The run")
    yield markup.table(tables.totals(report))


def _method(report: Report, level: int) -> Iterator[str]:
    if report.method is not None:
        yield markup.heading(level, f"Method: {methods.title(report.method)}")
        yield f"<p>{markup.escaped(methods.verdict(report.method))}</p>"
        yield markup.table(tables.method(report))
        yield f'<p class="faint">Tensors: {markup.escaped(methods.counts(report.method))}</p>'


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
    yield f'<div class="tensors">{markup.table(tables.Table(table.header, rows, table.text_columns))}</div>'


def _largest(report: Report, level: int) -> Iterator[str]:
    largest = tables.largest_errors(report)
    if largest.rows:
        yield markup.heading(level, "Largest errors")
        yield markup.table(largest)
