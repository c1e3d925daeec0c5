"""How far the decoded weights are from the source's: errors, and how they follow from sums."""

from __future__ import annotations

import math
from dataclasses import dataclass

from quantize_cli.measure.sums import SUM_WD2, SUM_WX2, Sums, merge


@dataclass(frozen=True, slots=True)
class TensorError:
    """How far the decoded weights are from the source's, accumulated in float64.

    A figure that has no value (relative to an all-zero tensor, or of a tensor without error) is None.
    """

    rmse: float  #: sqrt(mean((x - y)^2))
    relative_rmse: float | None  #: rmse over the tensor's RMS, sqrt(mean(x^2))
    sqnr_db: float | None  #: 10 log10(sum(x^2) / sum((x - y)^2))
    max_abs_error: float
    cosine_similarity: float | None


@dataclass(frozen=True, slots=True)
class WeightedError:
    """The error with every column counted by its importance, which is what the quantizer made small."""

    relative_rmse: float  #: sqrt(sum(w (x - y)^2) / sum(w x^2))
    sqnr_db: float | None  #: 10 log10(sum(w x^2) / sum(w (x - y)^2)); None where the error is 0


def error_from_sums(sums: Sums, weights: int) -> TensorError:
    """Reduce the sums of the rows of `weights` >= 1 weights (or of their tensors), float64[n, SUMS], to their error.

    Where a decoded value is not finite (a weight beyond float16's range), the error is infinite: SQNR is minus infinity
    and the cosine has no value.
    """
    x2, y2, d2, _, _, largest = merge(sums).tolist()
    if not math.isfinite(d2):
        return TensorError(math.inf, math.inf, -math.inf, math.inf, None)
    return TensorError(
        rmse=math.sqrt(d2 / weights),
        relative_rmse=math.sqrt(d2 / x2) if x2 else None,
        sqnr_db=_decibels(x2, d2) if x2 and d2 else None,
        max_abs_error=largest,
        cosine_similarity=_cosine(x2, y2, d2) if x2 and y2 else None,
    )


def weighted_error(sums: Sums) -> WeightedError | None:
    """Reduce the sums of rows or tensors, float64[n, SUMS], to the error with every column counted by its importance.

    None where nothing was weighted: without importance, or where it counts only columns of zeros.
    """
    merged = merge(sums)
    x2, d2 = float(merged[SUM_WX2]), float(merged[SUM_WD2])
    if x2 <= 0 or d2 < 0:  # below 0 with negative importances, which damaged files hold
        return None
    if not math.isfinite(d2):
        return WeightedError(math.inf, -math.inf)
    return WeightedError(math.sqrt(d2 / x2), _decibels(x2, d2) if d2 else None)


def _cosine(x2: float, y2: float, d2: float) -> float:
    """Return sum(xy) / sqrt(x2 * y2), where d2 = x2 + y2 - 2 sum(xy), so that digits near 1 are not lost."""
    lengths = math.sqrt(x2) - math.sqrt(y2)
    return min(1.0, max(-1.0, 1 - (d2 - lengths * lengths) / (2 * math.sqrt(x2) * math.sqrt(y2))))


def _decibels(signal: float, noise: float) -> float:
    """Return the ratio of two positive sums; the ratio itself may be too small or too large for a float64."""
    return 10 * (math.log10(signal) - math.log10(noise))
