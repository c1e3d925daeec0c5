"""The curves of size against divergence, which the chart of the page draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantize_cli.evaluation.model import Evaluation, FileEvaluation
from quantize_cli.report.evaluations import tables
from quantize_cli.report.figures import printable


@dataclass(frozen=True, slots=True)
class Point:
    """One file."""

    label: str
    bytes: int
    bits_per_weight: float
    value: float  #: nats a token
    shown: str  #: the value with its error
    best: bool  #: whether no other file is as small and nearer to the original


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure of all files, by size."""

    title: str
    points: tuple[Point, ...]


def _worst(file: FileEvaluation) -> float:
    worst = tables.worst_kind(file)
    return worst[1].mean_kld if worst else math.nan


def _shown_worst(file: FileEvaluation) -> str:
    worst = tables.worst_kind(file)
    return f"{tables.kld(worst[1])} ({worst[0]})" if worst else ""


#: Nats a token that rounding in float32 makes of equal models; such a file would stretch the axis over many decades.
_ROUNDING = 1e-6

#: Title -> the figure, and how it is shown.
_FIGURES: Mapping[str, tuple[Callable[[FileEvaluation], float], Callable[[FileEvaluation], str]]] = {
    "mean KLD": (lambda file: file.all.mean_kld, lambda file: tables.kld(file.all)),
    "mean KLD of the worst kind of text": (_worst, _shown_worst),
    "KLD at 99.9 %": (lambda file: file.all.kld_99_9, lambda file: tables.nats(file.all.kld_99_9)),
}


def curves(evaluation: Evaluation) -> tuple[Curve, ...]:
    """Order the files by size, for each figure; files that lose nothing have no place on a logarithmic axis."""
    labels = tables.labels(evaluation)
    found = []
    for title, (value, shown) in _FIGURES.items():
        told = [(file.bytes, value(file), file, label) for file, label in zip(evaluation.files, labels, strict=True)]
        told = sorted((row for row in told if math.isfinite(row[1]) and row[1] > _ROUNDING), key=lambda row: row[:2])
        points = tuple(
            Point(
                label=label,
                bytes=nbytes,
                bits_per_weight=file.bits_per_weight,
                value=figure,
                shown=printable(shown(file)),
                best=not any(other[0] <= nbytes and other[1] < figure for other in told),
            )
            for nbytes, figure, file, label in told
        )
        found.append(Curve(title, points))
    return tuple(found)
