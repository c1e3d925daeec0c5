"""The tables that Markdown and HTML share: cells as plain text, which each renderer escapes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from quantize_cli.report import figures, methods, spread
from quantize_cli.report.model import Report, TensorReport, TypeReport
from quantize_cli.report.places import place_of

Row: TypeAlias = Sequence[str]

_WEIGHTED = "Weighted relative RMSE"


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first `text_columns` columns are text, aligned left, and the others numbers."""

    header: Row
    rows: Sequence[Row]
    text_columns: int


def beginning(table: Table, most: int) -> Table:
    """Leave out rows after the first `most`; a last row counts them."""
    left_out = len(table.rows) - most
    if left_out <= 0:
        return table
    last = (f"and {left_out:,} more", *[""] * (len(table.header) - 1))
    return Table(table.header, [*table.rows[:most], last], table.text_columns)


def comparison(reports: Sequence[Report]) -> Table:
    """Compare formats, one in a row."""
    header = ("Format", "File", "Bytes", "Bits per weight", "Relative RMSE", "SQNR (dB)", _WEIGHTED)
    return _errors(Table(header, [_comparison_row(report) for report in reports], 2), reports)


def totals(report: Report) -> Table:
    """List what is true of the whole file and of the whole run."""
    return Table(("Total", ""), [*_source(report), *_files(report), *_figures(report)], 2)


def headline(report: Report) -> list[Row]:
    """List the few figures that sum up a run: labels and values."""
    totals = report.totals
    return [
        ("File", figures.size(totals.file_bytes)),
        ("Bits per weight", figures.fixed(totals.bits_per_weight, 2)),
        ("Relative RMSE", figures.percent(totals.error.relative_rmse)),
        ("SQNR (dB)", figures.sqnr(totals.error)),
        *([(_WEIGHTED, figures.weighted(totals.weighted_error))] if figures.has_weighted([report]) else []),
        ("Weights", f"{totals.weights:,}"),
        ("Time", f"{totals.seconds:.2f} s"),
    ]


def kinds(report: Report) -> Table:
    """List the kinds of tensors, such as attn_q, with the most bytes first."""
    header = ("Kind", "Types", "Tensors", "Bytes", "Share", "Bits per weight", "Largest relative RMSE")
    grouped: dict[str, list[TensorReport]] = defaultdict(list)
    for tensor in report.tensors:
        grouped[place_of(tensor.name)[0]].append(tensor)
    by_bytes = sorted(grouped.items(), key=lambda item: -_bytes(item[1]))
    return Table(header, [_kind_row(kind, rows, report.totals.bytes) for kind, rows in by_bytes], 2)


def reasons(report: Report) -> Table:
    """List why tensors have their types, with the most bytes first."""
    grouped: dict[tuple[str, str], list[TensorReport]] = defaultdict(list)
    for tensor in report.tensors:
        grouped[tensor.type, tensor.reason if tensor.cost is None else "its measured cost"].append(tensor)
    by_bytes = sorted(grouped.items(), key=lambda item: -_bytes(item[1]))
    rows = [(type_, reason, f"{len(rows):,}", f"{_bytes(rows):,}") for (type_, reason), rows in by_bytes]
    return Table(("Type", "Reason", "Tensors", "Bytes"), rows, 2)


def gates(report: Report) -> Table:
    """List the gates and what became of them; the table is empty if none was asked for."""
    rows = [
        (result.gate, "passed" if result.passed else "failed", result.shown, result.tensor or "whole model")
        for result in report.gates
    ]
    return Table(("Gate", "Result", "Value", "Where"), rows, 4)


def method(report: Report) -> Table:
    """Compare the file of a method with the others; the table is empty without a method."""
    return Table(methods.HEADER, [] if report.method is None else methods.rows(report.method), 1)


def distribution(report: Report) -> Table:
    """Count the tensors of each type by their SQNR; the table is empty if every tensor is exact."""
    found = spread.distribution(report)
    rows = [
        (f"{low:g} to {high:g}", *(f"{counts[index]:,}" for counts in found.counts))
        for index, (low, high) in enumerate(zip(found.edges, found.edges[1:], strict=False))
    ]
    return Table(("SQNR (dB)", *found.types), rows, 1)


def types(report: Report) -> Table:
    """List the block types."""
    header = ("Type", "Tensors", "Weights", "Bytes", "Bits per weight", "Relative RMSE", "SQNR (dB)", _WEIGHTED)
    return _errors(Table(header, [_type_row(row) for row in report.types], 1), [report])


def largest_errors(report: Report) -> Table:
    """List the tensors with the largest errors; the table may be empty."""
    header = ("Tensor", "Type", "Reason", "Relative RMSE", "SQNR (dB)")
    return Table(header, [_largest_row(row) for row in figures.largest_errors(report, 10)], 3)


def tensors(report: Report) -> Table:
    """List all tensors."""
    header = (
        "Tensor",
        "Sources",
        "Shape",
        "Source dtype",
        "Type",
        "Reason",
        "Rounded by",
        "Source bytes",
        "Bytes",
        "Bits per weight",
        "RMSE",
        "Relative RMSE",
        "SQNR (dB)",
        "Max abs error",
        "Cosine",
        _WEIGHTED,
    )
    return _errors(Table(header, [_tensor_row(row) for row in report.tensors], 7), [report])


def _errors(table: Table, reports: Sequence[Report]) -> Table:
    """Leave out the last column, the weighted error, if nothing was weighted."""
    if figures.has_weighted(reports):
        return table
    return Table(table.header[:-1], [row[:-1] for row in table.rows], table.text_columns)


def _comparison_row(report: Report) -> Row:
    return (
        report.format,
        report.output,
        f"{report.totals.file_bytes:,}",
        figures.fixed(report.totals.bits_per_weight, 2),
        figures.percent(report.totals.error.relative_rmse),
        figures.sqnr(report.totals.error),
        figures.weighted(report.totals.weighted_error),
    )


def _source(report: Report) -> list[Row]:
    source, imatrix = report.source, report.imatrix
    rows = [("Model", source.location)]
    if source.repository is not None:
        rows.append(("Repository", source.repository))
    if source.commit is not None:
        rows.append(("Commit", source.commit))
    rows.append(("Architecture", report.architecture))
    if imatrix is not None:
        rows.append(("Importance matrix", f"{imatrix.file} ({imatrix.entries:,} entries)"))
    if report.options:
        rows.append(("Options", ", ".join(f"{name}={value}" for name, value in report.options.items())))
    return [*rows]


def _files(report: Report) -> list[Row]:
    return [
        row
        for file in report.files
        for row in (("Output", f"{file.path} ({file.bytes:,} bytes)"), ("SHA-256", file.sha256))
    ]


def _figures(report: Report) -> list[Row]:
    totals = report.totals
    compiling = [("Compiling", f"{totals.compile_seconds:.2f} s")] if totals.compile_seconds else []
    return [
        ("Tensors", f"{totals.tensors:,}"),
        ("Weights", f"{totals.weights:,}"),
        ("Source", f"{figures.size(totals.source_bytes)} ({totals.source_bytes:,} bytes)"),
        ("Quantized", f"{figures.size(totals.bytes)} ({totals.bytes:,} bytes)"),
        ("File", f"{figures.size(totals.file_bytes)} ({totals.file_bytes:,} bytes)"),
        ("Bits per weight before", figures.bits_per_weight(totals.source_bytes, totals.weights)),
        ("Bits per weight", figures.fixed(totals.bits_per_weight, 2)),
        *([] if report.budget is None else [("Types chosen for", figures.budget(report.budget))]),
        ("Relative RMSE", figures.percent(totals.error.relative_rmse)),
        ("SQNR (dB)", figures.sqnr(totals.error)),
        *([(_WEIGHTED, figures.weighted(totals.weighted_error))] if figures.has_weighted([report]) else []),
        *compiling,
        ("Time", f"{totals.seconds:.2f} s"),
        ("Speed", figures.rate(totals.weights_per_second)),
        ("Threads", str(totals.threads)),
        ("Peak memory", figures.size(totals.peak_memory_bytes)),
    ]


def _bytes(tensors: Sequence[TensorReport]) -> int:
    return sum(tensor.bytes for tensor in tensors)


def _kind_row(kind: str, tensors: Sequence[TensorReport], total: int) -> Row:
    nbytes = _bytes(tensors)
    errors = [tensor.error.relative_rmse for tensor in tensors if tensor.error.relative_rmse is not None]
    return (
        kind,
        ", ".join(dict.fromkeys(tensor.type for tensor in tensors)),
        f"{len(tensors):,}",
        f"{nbytes:,}",
        f"{100 * nbytes / total:.1f} %",
        figures.bits_per_weight(nbytes, sum(math.prod(tensor.shape) for tensor in tensors)),
        figures.percent(max(errors, default=None)),
    )


def _type_row(row: TypeReport) -> Row:
    return (
        row.type,
        f"{row.tensors:,}",
        f"{row.weights:,}",
        f"{row.bytes:,}",
        figures.fixed(row.bits_per_weight, 2),
        figures.percent(row.error.relative_rmse),
        figures.sqnr(row.error),
        figures.weighted(row.weighted_error),
    )


def _largest_row(row: TensorReport) -> Row:
    return row.name, row.type, row.reason, figures.percent(row.error.relative_rmse), figures.sqnr(row.error)


def _tensor_row(row: TensorReport) -> Row:
    return (
        row.name,
        ", ".join(row.sources),
        figures.shape(row.shape),
        row.source_dtype,
        row.type,
        row.reason,
        row.rounded_by or figures.NONE,
        f"{row.source_bytes:,}",
        f"{row.bytes:,}",
        figures.fixed(row.bits_per_weight, 2),
        figures.significant(row.error.rmse),
        figures.percent(row.error.relative_rmse),
        figures.sqnr(row.error),
        figures.significant(row.error.max_abs_error),
        figures.fixed(row.error.cosine_similarity, 6),
        figures.weighted(row.weighted_error),
    )
