"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from quantize_cli.report import figures, tables
from quantize_cli.report.model import Report

#: Characters that Markdown would read as markup; an underscore inside a word is not markup.
_MARKUP = re.compile(r"[\\`*\[\]<>|&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def render(reports: Sequence[Report]) -> str:
    """Render Markdown with a final newline: a comparison if there are several reports, then each report."""
    return _page(reports, [[*_summary(report), "## Tensors", _table(tables.tensors(report))] for report in reports])


def summary(reports: Sequence[Report]) -> str:
    """Render the same without the tables of all tensors."""
    return _page(reports, [[*_summary(report)] for report in reports])


def _page(reports: Sequence[Report], parts: Sequence[Sequence[str]]) -> str:
    sections = []
    if len(reports) > 1:
        sections.append(f"# {_escaped(reports[0].model)} in {len(reports)} formats")
        sections.append(_table(tables.comparison(reports)))
    for part in parts:
        sections += part
    sections.append(f"Written by {_escaped(reports[0].generator)}.")
    return "\n\n".join(sections) + "\n"


def _summary(report: Report) -> Iterator[str]:
    yield f"# {_escaped(report.model)} as {_escaped(report.format)}"
    yield _table(tables.totals(report))
    for warning in report.warnings:
        yield f"> **Warning:** {_escaped(warning)}"
    gates = tables.gates(report)
    if gates.rows:
        yield "## Gates"
        yield _table(gates)
    yield "## Types"
    yield _table(tables.types(report))
    yield "## Reasons"
    yield _table(tables.reasons(report))
    largest = tables.largest_errors(report)
    if largest.rows:
        yield "## Largest errors"
        yield _table(largest)


def _table(table: tables.Table) -> str:
    rule = ["---"] * table.text_columns + ["---:"] * (len(table.header) - table.text_columns)
    cells = [table.header, rule, *([_escaped(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", figures.printable(text))
