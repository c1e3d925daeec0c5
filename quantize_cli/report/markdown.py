"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from quantize_cli.report import figures, methods, tables
from quantize_cli.report.model import Report

#: Characters that Markdown would read as markup; an underscore inside a word is not markup.
_MARKUP = re.compile(r"[\\`*\[\]<>|&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def render(reports: Sequence[Report]) -> str:
    """Render Markdown with a final newline: a comparison if there are several reports, then each report."""
    return _page(reports, [[*_summary(report), "## Tensors", table(tables.tensors(report))] for report in reports])


def summary(reports: Sequence[Report]) -> str:
    """Render the same without the tables of all tensors."""
    return _page(reports, [[*_summary(report)] for report in reports])


def _page(reports: Sequence[Report], parts: Sequence[Sequence[str]]) -> str:
    sections = []
    if len(reports) > 1:
        sections.append(f"# {escaped(reports[0].model)} in {len(reports)} formats")
        sections.append(table(tables.comparison(reports)))
    for part in parts:
        sections += part
    sections.append(f"Written by {escaped(reports[0].generator)}.")
    return "\n\n".join(sections) + "\n"


def _summary(report: Report) -> Iterator[str]:
    yield f"# {escaped(report.model)} as {escaped(report.format)}"
    yield table(tables.totals(report))
    for warning in report.warnings:
        yield f"> **Warning:** {escaped(warning)}"
    gates = tables.gates(report)
    if gates.rows:
        yield "## Gates"
        yield table(gates)
    if report.method is not None:
        yield f"## Method: {escaped(methods.title(report.method))}"
        yield escaped(methods.verdict(report.method))
        yield table(tables.method(report))
        yield f"Tensors: {escaped(methods.counts(report.method))}"
    yield "## Types"
    yield table(tables.types(report))
    yield "## Reasons"
    yield table(tables.reasons(report))
    largest = tables.largest_errors(report)
    if largest.rows:
        yield "## Largest errors"
        yield table(largest)


def table(held: tables.Table) -> str:
    """Make a table."""
    rule = ["---"] * held.text_columns + ["---:"] * (len(held.header) - held.text_columns)
    head, *rows = ([escaped(cell) for cell in row] for row in (held.header, *held.rows))
    cells = [head, rule, *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def escaped(text: str) -> str:
    """Escape what Markdown would read as markup, and leave out control characters."""
    return _MARKUP.sub(r"\\\g<0>", figures.printable(text))
