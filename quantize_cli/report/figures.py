"""Figures and phrases that the renderers for people share; ASCII only, for any terminal and any encoding."""

from __future__ import annotations

from collections.abc import Sequence

from quantize_cli.errors import printable as printable
from quantize_cli.measure.errors import TensorError, WeightedError
from quantize_cli.planning.model import Budgeted
from quantize_cli.report.model import Report, TensorReport

#: Text for a figure that does not have a value.
NONE = "-"

_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def one_line(report: Report) -> str:
    """Summarise a run in one line: the model, its format and size, and the error."""
    totals = report.totals
    error = "unchanged" if report.unchanged else f"SQNR {sqnr(totals.error)} dB" if totals.error.rmse else "exact"
    figures = f"{size(totals.file_bytes)}, {fixed(totals.bits_per_weight, 2)} bits/weight, {error}"
    return printable(f"{_cut(report.model)} as {report.format}, {figures}, {_cut(report.output)}")


def _cut(text: str, most: int = 60) -> str:
    """Leave out the beginning of a long text, because the ends of paths tell more."""
    return text if len(text) <= most else f"...{text[3 - most :]}"


def size(nbytes: int) -> str:
    """Format bytes in the largest binary unit that leaves at least 1, as llama.cpp does: "1.23 GiB"."""
    unit = min(max(nbytes.bit_length() - 1, 0) // 10, len(_BINARY_UNITS) - 1)
    return f"{nbytes / 1024**unit:.2f} {_BINARY_UNITS[unit]}" if unit else f"{nbytes} B"


def budget(held: Budgeted) -> str:
    """Spell what decided the types: "--target-size 5.5G, 0.0123 nats a token predicted"."""
    predicted = "" if held.cost is None else f", {held.cost:.3g} nats a token predicted"
    return printable(f"{held.said}{predicted}")


def rate(weights_per_second: float) -> str:
    """Format a speed in millions of weights a second."""
    return f"{weights_per_second / 1e6:,.1f} M weights/s"


def bits_per_weight(nbytes: int, weights: int) -> str:
    """Format the bits that a weight takes in `nbytes` of tensor data."""
    return fixed(nbytes * 8 / weights if weights else None, 2)


def fixed(value: float | None, decimals: int) -> str:
    """Format a number with that many decimals, or NONE."""
    return NONE if value is None else f"{value:.{decimals}f}"


def significant(value: float | None) -> str:
    """Format a number with four significant digits, or NONE."""
    return NONE if value is None else f"{value:.4g}"


def percent(ratio: float | None) -> str:
    """Format a ratio >= 0 in percent, or NONE; a ratio above 0 never looks like 0."""
    if ratio is None:
        return NONE
    return "<0.001 %" if 0 < ratio < 5e-6 else f"{100 * ratio:.3f} %"


def weighted(error: WeightedError | None) -> str:
    """Format the weighted relative RMSE in percent, or NONE."""
    return NONE if error is None else percent(error.relative_rmse)


def has_weighted(reports: Sequence[Report]) -> bool:
    """Tell whether one of the reports has errors weighted by importance."""
    return any(report.totals.weighted_error is not None for report in reports)


def sqnr(error: TensorError) -> str:
    """Format the SQNR in decibels, or "exact" if no weight has changed."""
    return "exact" if error.rmse == 0 else fixed(error.sqnr_db, 2)


def shape(dimensions: tuple[int, ...]) -> str:
    """Format row-major dimensions: "576 x 1536"."""
    return " x ".join(map(str, dimensions))


def largest_errors(report: Report, count: int = 5) -> tuple[TensorReport, ...]:
    """Find the tensors with the largest relative RMSE, largest first, without exact ones; ties keep file order."""
    inexact = [(tensor.error.relative_rmse, tensor) for tensor in report.tensors if tensor.error.relative_rmse]
    return tuple(tensor for _, tensor in sorted(inexact, key=lambda pair: -pair[0])[:count])
