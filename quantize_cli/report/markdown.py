"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from quantize_cli.report import figures
from quantize_cli.report.model import Report, TensorReport, TypeReport

#: Characters that Markdown would read as markup; an underscore inside a word is not markup.
_MARKUP = re.compile(r"[\\`*\[\]<>|&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")

_WEIGHTED = "Weighted relative RMSE"
_COMPARISON_HEADER = ("Format", "File", "Bytes", "Bits per weight", "Relative RMSE", "SQNR (dB)", _WEIGHTED)
_TYPE_HEADER = ("Type", "Tensors", "Weights", "Bytes", "Bits per weight", "Relative RMSE", "SQNR (dB)", _WEIGHTED)
_LARGEST_HEADER = ("Tensor", "Type", "Reason", "Relative RMSE", "SQNR (dB)")
_TENSOR_HEADER = (
    "Tensor",
    "Sources",
    "Shape",
    "Source dtype",
    "Type",
    "Reason",
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


def render(reports: Sequence[Report]) -> str:
    """Render Markdown with a final newline: a comparison if there are several reports, then each report."""
    sections = [] if len(reports) == 1 else _comparison(reports)
    for report in reports:
        sections += _one(report)
    sections.append(f"Written by {_escaped(reports[0].generator)}.")
    return "\n\n".join(sections) + "\n"


def _comparison(reports: Sequence[Report]) -> list[str]:
    return [
        f"# {_escaped(reports[0].model)} in {len(reports)} formats",
        _errors_table(_COMPARISON_HEADER, map(_comparison_row, reports), 2, reports),
    ]


def _comparison_row(report: Report) -> Sequence[str]:
    totals = report.totals
    return (
        report.format,
        report.output,
        f"{totals.file_bytes:,}",
        figures.fixed(totals.bits_per_weight, 2),
        figures.percent(totals.error.relative_rmse),
        figures.sqnr(totals.error),
        figures.weighted(totals.weighted_error),
    )


def _one(report: Report) -> list[str]:
    sections = [
        f"# {_escaped(report.model)} as {_escaped(report.format)}",
        _table(("Total", ""), _totals(report), text_columns=2),
        *(f"> **Warning:** {_escaped(warning)}" for warning in report.warnings),
        "## Types",
        _errors_table(_TYPE_HEADER, map(_type_row, report.types), 1, [report]),
    ]
    largest = figures.largest_errors(report)
    if largest:
        sections += ["## Largest errors", _table(_LARGEST_HEADER, map(_largest_row, largest), text_columns=3)]
    sections += ["## Tensors", _errors_table(_TENSOR_HEADER, map(_tensor_row, report.tensors), 6, [report])]
    return sections


def _totals(report: Report) -> list[tuple[str, str]]:
    totals = report.totals
    return [
        ("Output", report.output),
        ("Architecture", report.architecture),
        ("Tensors", f"{totals.tensors:,}"),
        ("Weights", f"{totals.weights:,}"),
        ("Source", f"{figures.size(totals.source_bytes)} ({totals.source_bytes:,} bytes)"),
        ("Quantized", f"{figures.size(totals.bytes)} ({totals.bytes:,} bytes)"),
        ("File", f"{figures.size(totals.file_bytes)} ({totals.file_bytes:,} bytes)"),
        ("Bits per weight before", figures.bits_per_weight(totals.source_bytes, totals.weights)),
        ("Bits per weight", figures.fixed(totals.bits_per_weight, 2)),
        ("Relative RMSE", figures.percent(totals.error.relative_rmse)),
        ("SQNR (dB)", figures.sqnr(totals.error)),
        *([(_WEIGHTED, figures.weighted(totals.weighted_error))] if figures.has_weighted([report]) else ()),
        ("Time", f"{totals.seconds:.2f} s"),
        ("Speed", f"{figures.rate(totals.weights_per_second)}"),
        ("Threads", str(totals.threads)),
        ("Peak memory", figures.size(totals.peak_memory_bytes)),
    ]


def _type_row(row: TypeReport) -> Sequence[str]:
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


def _largest_row(row: TensorReport) -> Sequence[str]:
    return row.name, row.type, row.reason, figures.percent(row.error.relative_rmse), figures.sqnr(row.error)


def _tensor_row(row: TensorReport) -> Sequence[str]:
    return (
        row.name,
        ", ".join(row.sources),
        figures.shape(row.shape),
        row.source_dtype,
        row.type,
        row.reason,
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


def _errors_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int, reports: Sequence[Report]
) -> str:
    """Render a table, without its last column, the weighted error, if nothing was weighted."""
    columns = len(header) if figures.has_weighted(reports) else len(header) - 1
    return _table(header[:columns], (row[:columns] for row in rows), text_columns)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int) -> str:
    """Render a table whose first `text_columns` columns are text, aligned left, and the others numbers."""
    rule = ["---"] * text_columns + ["---:"] * (len(header) - text_columns)
    cells = [header, rule, *([_escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", figures.printable(text))
