"""The distribution of the tensors' errors, and the curve of size against error; figures that charts draw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from quantize_cli.report.model import Report

#: Widths of a bin in dB; the first that needs at most MOST_BINS is taken.
_WIDTHS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0)
MOST_BINS = 40


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many tensors of each type have an SQNR in which bin."""

    edges: tuple[float, ...]  #: dB; bin i is from edge i, included, to edge i + 1, excluded
    types: tuple[str, ...]  #: in the order of the report's types
    counts: tuple[tuple[int, ...], ...]  #: [type][bin]
    exact: int  #: tensors in no bin: those without an error


@dataclass(frozen=True, slots=True)
class Point:
    """One format of a ladder."""

    format: str
    file_bytes: int
    bits_per_weight: float
    relative_rmse: float
    weighted_relative_rmse: float | None
    best: bool  #: whether no other format is both smaller and more exact


def distribution(report: Report) -> Distribution:
    """Sort the tensors of a report into bins of equal width by their SQNR in dB."""
    told = [(tensor.type, tensor.error.sqnr_db) for tensor in report.tensors]
    inexact = [(type_, db) for type_, db in told if db is not None and math.isfinite(db)]
    if not inexact:
        return Distribution((), (), (), len(told))
    lowest, highest = min(db for _, db in inexact), max(db for _, db in inexact)
    width = next(w for w in _WIDTHS if w == _WIDTHS[-1] or highest // w - lowest // w < MOST_BINS)
    first, last = int(lowest // width), int(highest // width)
    counted = Counter((type_, int(db // width)) for type_, db in inexact)
    types = [row.type for row in report.types if any(type_ == row.type for type_, _ in counted)]
    bins = range(first, last + 1)
    return Distribution(
        edges=tuple(index * width for index in range(first, last + 2)),
        types=tuple(types),
        counts=tuple(tuple(counted[type_, index] for index in bins) for type_ in types),
        exact=len(told) - len(inexact),
    )


def curve(reports: Sequence[Report]) -> tuple[Point, ...]:
    """Order the formats by size, without those whose error is 0 or not finite, which a logarithmic axis lacks."""
    points = []
    for report in reports:
        error, weighted = report.totals.error.relative_rmse, report.totals.weighted_error
        if error and math.isfinite(error):
            others = [other for other in reports if other is not report]
            points.append(
                Point(
                    format=report.format,
                    file_bytes=report.totals.file_bytes,
                    bits_per_weight=report.totals.bits_per_weight,
                    relative_rmse=error,
                    weighted_relative_rmse=weighted.relative_rmse if weighted else None,
                    best=not any(_beats(other, report) for other in others),
                )
            )
    return tuple(sorted(points, key=lambda point: point.file_bytes))


def _beats(one: Report, other: Report) -> bool:
    errors = one.totals.error.relative_rmse or 0.0, other.totals.error.relative_rmse or 0.0
    return one.totals.file_bytes <= other.totals.file_bytes and errors[0] < errors[1]
