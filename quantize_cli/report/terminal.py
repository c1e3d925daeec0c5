"""The report for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from quantize_cli.report import figures, methods
from quantize_cli.report.model import MethodReport, Report, Totals
from quantize_cli.report.terminal_tables import Narrowing, facts, listing

_ERROR_HEADERS = ("rel. RMSE", "SQNR dB")
_WEIGHTED_HEADER = ("weighted",)

#: Column -> the width of the narrowest terminal that shows it; all terminals show the others.
_SHOWN_FROM = {"weights": 76, "reason": 76, "tensors": 70, "bits/weight": 58, "bits per weight": 62, "bytes": 42}

#: A longer tensor name is cut, so that at 80 columns the other columns stay readable.
_NAME_WIDTH = 40


def render(reports: Sequence[Report]) -> RenderableType:
    """Render one report, or several side by side; a terminal of fewer than 80 columns shows fewer figures."""
    return _one(reports[0]) if len(reports) == 1 else _several(reports)


def _one(report: Report) -> RenderableType:
    """Render totals, a row for each target type, the tensors with the largest errors, and the warnings."""
    parts = [_title(report, f"as {report.format}"), _sizes(report), _run(report)]
    if report.method is not None:
        parts.append(_method(report.method))
    parts.append(_types(report))
    if figures.largest_errors(report):
        parts.append(_largest_errors(report))
    if report.warnings:
        parts.append(warnings(report.warnings))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _several(reports: Sequence[Report]) -> RenderableType:
    """Render a row for each format, the paths of the files, and the warnings."""
    parts = [_title(reports[0], f"in {len(reports)} formats"), _comparison(reports), _run_of_all(reports)]
    if any(report.warnings for report in reports):
        parts.append(warnings(_of_all(reports)))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _of_all(reports: Sequence[Report]) -> list[str]:
    """List each warning once, after the names of its formats unless it is of all formats."""
    formats: dict[str, list[str]] = {}
    for report in reports:
        for warning in report.warnings:
            formats.setdefault(warning, []).append(report.format)
    return [
        warning if len(names) == len(reports) else f"{', '.join(names)}: {warning}"
        for warning, names in formats.items()
    ]


def _comparison(reports: Sequence[Report]) -> RenderableType:
    table = listing()
    table.add_column("format", style="cyan", no_wrap=True)
    weighted = figures.has_weighted(reports)
    for header in ("size", "bytes", "bits/weight", *_ERROR_HEADERS, *(_WEIGHTED_HEADER if weighted else ())):
        table.add_column(header, justify="right", no_wrap=True)
    for report in reports:
        totals = report.totals
        table.add_row(
            report.format,
            figures.size(totals.file_bytes),
            f"{totals.file_bytes:,}",
            figures.fixed(totals.bits_per_weight, 2),
            figures.percent(totals.error.relative_rmse),
            figures.sqnr(totals.error),
            *((figures.weighted(totals.weighted_error),) if weighted else ()),
        )
    return Narrowing(table, {"bytes": 80 if weighted else 68, "bits/weight": 68 if weighted else 56})


def _run_of_all(reports: Sequence[Report]) -> RenderableType:
    totals = reports[0].totals
    table = facts()
    table.add_column(overflow="fold")
    table.add_row("weights", f"{totals.weights:,} in {totals.tensors:,} tensors, read once")
    table.add_row("time", _time(totals, " for all"))
    table.add_row("memory", f"{figures.size(totals.peak_memory_bytes)} at the peak")
    for number, report in enumerate(reports):
        table.add_row("" if number else "output", _output(report))
    return table


def _time(totals: Totals, of: str) -> str:
    threads = f"{totals.threads} thread{'s' if totals.threads > 1 else ''}"
    compiling = f", after {totals.compile_seconds:.2f} s of compiling" if totals.compile_seconds else ""
    return f"{totals.seconds:.2f} s{of}, {threads}{compiling}"


def _title(report: Report, formats: str) -> RenderableType:
    model, formats, architecture = map(figures.printable, (report.model, formats, report.architecture))
    return Text.assemble((model, "bold"), " ", (formats, "bold cyan"), (f"  {architecture}", "dim"), overflow="fold")


def _sizes(report: Report) -> RenderableType:
    totals = report.totals
    table = facts()
    for header in ("size", "bytes", "bits per weight"):
        table.add_column(header, justify="right", no_wrap=True)
    bits_before = figures.bits_per_weight(totals.source_bytes, totals.weights)
    for label, nbytes, bits in (
        ("source", totals.source_bytes, f"{bits_before} bits/weight"),
        ("quantized", totals.bytes, f"{figures.fixed(totals.bits_per_weight, 2)} bits/weight"),
        ("file", totals.file_bytes, ""),
    ):
        table.add_row(label, figures.size(nbytes), f"{nbytes:,} bytes", bits)
    return Narrowing(table, _SHOWN_FROM)


def _run(report: Report) -> RenderableType:
    totals = report.totals
    table = facts()
    table.add_column(overflow="fold")  # a path is shown whole
    table.add_row("weights", f"{totals.weights:,} in {totals.tensors:,} tensors")
    if report.budget is not None:
        table.add_row("types", f"chosen for {figures.budget(report.budget)}")
    table.add_row("error", _error(report))
    if totals.weighted_error is not None:
        table.add_row("weighted", f"{figures.weighted(totals.weighted_error)} relative RMSE, weighted by importance")
    table.add_row("time", _time(totals, f", {figures.rate(totals.weights_per_second)}"))
    table.add_row("memory", f"{figures.size(totals.peak_memory_bytes)} at the peak")
    table.add_row("output", _output(report))
    return table


def _output(report: Report) -> Text:
    return Text("standard output" if report.output == "-" else figures.printable(report.output), style="bold")


def _error(report: Report) -> str:
    error = report.totals.error
    if report.unchanged:
        return "none; all tensors are copied unchanged"
    if error.rmse == 0:
        return "0, every weight is exact"
    return f"{figures.percent(error.relative_rmse)} relative RMSE, SQNR {figures.sqnr(error)} dB"


def _method(method: MethodReport) -> RenderableType:
    """Render a row for each file that was compared, and what has rounded how many tensors."""
    table = listing()
    table.add_column(Text(methods.title(method)), overflow="fold")
    for header in ("KLD", "+-", "difference", "+-"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, _, *columns in methods.rows(method):
        table.add_row(Text(figures.printable(name)), *columns)
    told = facts()
    told.add_column(overflow="fold")
    told.add_row("kept", Text(figures.printable(methods.verdict(method))))
    told.add_row("tensors", Text(figures.printable(methods.counts(method))))
    told.add_row("rounding", f"{method.seconds:.0f} s")
    return Group(table, told)


def _types(report: Report) -> RenderableType:
    """Render a row for each target type; 80 columns hold the number of weights or the weighted error, not both."""
    table = listing()
    table.add_column("type", style="cyan", no_wrap=True)
    weighted = figures.has_weighted([report])
    for header in (
        "tensors",
        *(() if weighted else ("weights",)),
        "size",
        "bits/weight",
        *_ERROR_HEADERS,
        *(_WEIGHTED_HEADER if weighted else ()),
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for row in report.types:
        table.add_row(
            row.type,
            f"{row.tensors:,}",
            *(() if weighted else (f"{row.weights:,}",)),
            figures.size(row.bytes),
            figures.fixed(row.bits_per_weight, 2),
            figures.percent(row.error.relative_rmse),
            figures.sqnr(row.error),
            *((figures.weighted(row.weighted_error),) if weighted else ()),
        )
    return Narrowing(table, _SHOWN_FROM)


def _largest_errors(report: Report) -> RenderableType:
    table = listing()
    # Rich narrows only columns that may wrap, so long names and reasons are cut here.
    table.add_column("largest errors", max_width=_NAME_WIDTH)
    table.add_column("type", style="cyan", no_wrap=True)
    table.add_column("reason", style="dim")
    for header in _ERROR_HEADERS:
        table.add_column(header, justify="right", no_wrap=True)
    for row in figures.largest_errors(report):
        table.add_row(
            Text(figures.printable(row.name), no_wrap=True, overflow="ellipsis"),
            row.type,
            Text(figures.printable(row.reason), no_wrap=True, overflow="ellipsis"),
            figures.percent(row.error.relative_rmse),
            figures.sqnr(row.error),
        )
    return Narrowing(table, _SHOWN_FROM)


def warnings(sentences: Sequence[str]) -> RenderableType:
    """Render warnings."""
    table = Table.grid(padding=(0, 1))
    table.add_column(style="bold yellow", no_wrap=True)
    table.add_column(overflow="fold")
    for warning in sentences:
        table.add_row("warning:", Text(figures.printable(warning)))
    return table
