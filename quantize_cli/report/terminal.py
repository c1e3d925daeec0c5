"""The report for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from quantize_cli.report import figures
from quantize_cli.report.model import Report, TensorError

_ERROR_HEADERS = ("rel. RMSE", "SQNR dB")

#: A longer tensor name is cut, so that at 80 columns the other columns stay readable.
_NAME_WIDTH = 40


def render(report: Report) -> RenderableType:
    """Totals, a row per target type, the tensors with the largest error, and the warnings; good from 80 columns on."""
    parts = [_title(report), _sizes(report), _run(report), _types(report)]
    if figures.largest_errors(report):
        parts.append(_largest_errors(report))
    if report.warnings:
        parts.append(_warnings(report))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _title(report: Report) -> RenderableType:
    model, name, architecture = map(figures.printable, (report.model, report.format, report.architecture))
    return Text.assemble((model, "bold"), " as ", (name, "bold cyan"), (f"  {architecture}", "dim"), overflow="fold")


def _sizes(report: Report) -> RenderableType:
    totals = report.totals
    table = _grid()
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    bits_before = figures.bits_per_weight(totals.source_bytes, totals.weights)
    for label, nbytes, bits in (
        ("source", totals.source_bytes, f"{bits_before} bits/weight"),
        ("quantized", totals.bytes, f"{figures.fixed(totals.bits_per_weight, 2)} bits/weight"),
        ("file", totals.file_bytes, ""),
    ):
        table.add_row(label, figures.size(nbytes), f"{nbytes:,} bytes", bits)
    return table


def _run(report: Report) -> RenderableType:
    totals = report.totals
    threads = f"{totals.threads} thread{'s' if totals.threads > 1 else ''}"
    output = "standard output" if report.output == "-" else figures.printable(report.output)
    table = _grid()
    table.add_column(overflow="fold")  # a path is shown whole
    table.add_row("weights", f"{totals.weights:,} in {totals.tensors:,} tensors")
    table.add_row("error", _error(totals.error))
    table.add_row("time", f"{totals.seconds:.2f} s, {figures.rate(totals.weights_per_second)}, {threads}")
    table.add_row("memory", f"{figures.size(totals.peak_memory_bytes)} at the peak")
    table.add_row("output", Text(output, style="bold"))
    return table


def _error(error: TensorError) -> str:
    if error.rmse == 0:
        return "none, every weight is exact"
    return f"{figures.percent(error.relative_rmse)} relative RMSE, SQNR {figures.sqnr(error)} dB"


def _types(report: Report) -> RenderableType:
    table = _table()
    table.add_column("type", style="cyan", no_wrap=True)
    for header in ("tensors", "weights", "size", "bits/weight", *_ERROR_HEADERS):
        table.add_column(header, justify="right", no_wrap=True)
    for row in report.types:
        table.add_row(
            row.type,
            f"{row.tensors:,}",
            f"{row.weights:,}",
            figures.size(row.bytes),
            figures.fixed(row.bits_per_weight, 2),
            figures.percent(row.error.relative_rmse),
            figures.sqnr(row.error),
        )
    return table


def _largest_errors(report: Report) -> RenderableType:
    table = _table()
    table.add_column("largest errors", no_wrap=True, max_width=_NAME_WIDTH)
    table.add_column("type", style="cyan", no_wrap=True)
    table.add_column("reason", style="dim")  # Rich narrows only columns that may wrap: what is long is cut here
    for header in _ERROR_HEADERS:
        table.add_column(header, justify="right", no_wrap=True)
    for row in figures.largest_errors(report):
        table.add_row(
            Text(figures.printable(row.name)),
            row.type,
            Text(figures.printable(row.reason), no_wrap=True, overflow="ellipsis"),
            figures.percent(row.error.relative_rmse),
            figures.sqnr(row.error),
        )
    return table


def _warnings(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="bold yellow", no_wrap=True)
    table.add_column(overflow="fold")
    for warning in report.warnings:
        table.add_row("warning:", Text(figures.printable(warning)))
    return table


def _grid() -> Table:
    """A table without lines whose first column holds labels, of one width so that grids line up."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", width=len("quantized"))
    return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
