"""Figures and phrases that the renderers for people share; ASCII only, for any terminal and any encoding."""

from __future__ import annotations

from collections.abc import Sequence

from quantize_cli.measure.errors import TensorError, WeightedError
from quantize_cli.report.model import Report, TensorReport

#: Shown where a figure has no value.
NONE = "-"

_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(nbytes: int) -> str:
    """Bytes in the largest binary unit that leaves at least 1, as llama.cpp prints them: "1.23 GiB"."""
    unit = min(max(nbytes.bit_length() - 1, 0) // 10, len(_BINARY_UNITS) - 1)
    return f"{nbytes / 1024**unit:.2f} {_BINARY_UNITS[unit]}" if unit else f"{nbytes} B"


def rate(weights_per_second: float) -> str:
    """Millions of weights a second."""
    return f"{weights_per_second / 1e6:,.1f} M weights/s"


def bits_per_weight(nbytes: int, weights: int) -> str:
    """Bits that a weight takes in `nbytes` of tensor data."""
    return fixed(nbytes * 8 / weights if weights else None, 2)


def fixed(value: float | None, decimals: int) -> str:
    """A number with that many decimals, or NONE."""
    return NONE if value is None else f"{value:.{decimals}f}"


def significant(value: float | None) -> str:
    """A number with four significant digits, or NONE."""
    return NONE if value is None else f"{value:.4g}"


def percent(ratio: float | None) -> str:
    """A ratio >= 0 in percent, or NONE; one that is not 0 never looks like 0."""
    if ratio is None:
        return NONE
    return "<0.001 %" if 0 < ratio < 5e-6 else f"{100 * ratio:.3f} %"


def weighted(error: WeightedError | None) -> str:
    """The weighted relative RMSE in percent, or NONE."""
    return NONE if error is None else percent(error.relative_rmse)


def has_weighted(reports: Sequence[Report]) -> bool:
    """Whether any of the runs had an importance matrix to weigh errors with."""
    return any(report.totals.weighted_error is not None for report in reports)


def sqnr(error: TensorError) -> str:
    """Decibels, or "exact" where every weight is what it was."""
    return "exact" if error.rmse == 0 else fixed(error.sqnr_db, 2)


def shape(dimensions: tuple[int, ...]) -> str:
    """Row-major dimensions: "576 x 1536"."""
    return " x ".join(map(str, dimensions))


def printable(text: str) -> str:
    """`text` on one line and without control characters: names come from files that nobody vouches for."""
    return "".join(character if character.isprintable() else "?" for character in text)


def largest_errors(report: Report, count: int = 5) -> tuple[TensorReport, ...]:
    """The tensors with the largest relative RMSE, largest first, in file order among equals; exact ones never."""
    inexact = [(tensor.error.relative_rmse, tensor) for tensor in report.tensors if tensor.error.relative_rmse]
    return tuple(tensor for _, tensor in sorted(inexact, key=lambda pair: -pair[0])[:count])
