"""What the script of the HTML page reads: tables and charts of all reports, compressed into one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quantize_cli.report import figures, markup, tables
from quantize_cli.report.json_report import as_json
from quantize_cli.report.model import Report
from quantize_cli.report.places import places
from quantize_cli.report.spread import curve, distribution


def packed(reports: Sequence[Report]) -> str:
    """Pack the data of the page; columns that several reports share are stored once."""
    columns: dict[tuple[str, ...], int] = {}
    pages = [_page(report, columns) for report in reports]
    return markup.packed(
        {"columns": list(columns), "reports": pages, "curve": curve(reports) if len(reports) > 1 else ()}
    )


def _page(report: Report, columns: dict[tuple[str, ...], int]) -> dict[str, Any]:
    table = tables.tensors(report)
    cells = zip(*([figures.printable(cell) for cell in row] for row in table.rows), strict=True)
    return {
        "format": report.format,
        "header": table.header,
        "text_columns": table.text_columns,
        "cells": [columns.setdefault(column, len(columns)) for column in cells],
        "places": _printable_places(report),
        "types": [tensor.type for tensor in report.tensors],
        "bytes": [tensor.bytes for tensor in report.tensors],
        "measures": _measures(report),
        "distribution": distribution(report),
    }


def _printable_places(report: Report) -> dict[str, Any]:
    value: dict[str, Any] = as_json(places(report.tensors))
    return {**value, "kinds": [figures.printable(kind) for kind in value["kinds"]]}


def _measures(report: Report) -> dict[str, list[float | None]]:
    """Return what colours the heat map: its title, and a figure for each tensor."""
    percents = [_rounded(tensor.error.relative_rmse, 100) for tensor in report.tensors]
    measures = {"Relative RMSE (%)": percents}
    if figures.has_weighted([report]):
        weighted = [tensor.weighted_error for tensor in report.tensors]
        measures["Weighted relative RMSE (%)"] = [
            None if error is None else _rounded(error.relative_rmse, 100) for error in weighted
        ]
    measures["SQNR (dB)"] = [_rounded(tensor.error.sqnr_db) for tensor in report.tensors]
    measures["Bits per weight"] = [_rounded(tensor.bits_per_weight) for tensor in report.tensors]
    return measures


def _rounded(value: float | None, scale: float = 1) -> float | None:
    return None if value is None else float(f"{value * scale:.4g}")
