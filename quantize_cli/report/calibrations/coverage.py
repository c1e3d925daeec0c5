"""Which experts and tensors the calibration text has hardly hit; nothing is known of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantize_cli.report.places import NO_LAYER, place_of
from quantize_cli.sensitivity.model import TensorCalibration

#: An expert with fewer tokens than this share of an even share is hardly hit.
HARDLY = 0.1


@dataclass(frozen=True, slots=True)
class ExpertCoverage:
    """How often the experts of one layer were hit."""

    layer: str
    kinds: tuple[str, ...]  #: tensors with these counts: "ffn_gate_exps"
    experts: int
    never: tuple[int, ...]  #: experts that no token went to
    hardly: tuple[int, ...]  #: experts below HARDLY of an even share, those that were never hit left out
    least: float  #: tokens of the expert with the fewest
    even: float  #: tokens of each, were they spread evenly


def expert_coverage(tensors: Sequence[TensorCalibration]) -> tuple[ExpertCoverage, ...]:
    """Count for each layer with experts; tensors of a layer with the same counts stand in one row."""
    grouped: dict[tuple[str, bytes], list[tuple[str, TensorCalibration]]] = {}
    for tensor in tensors:
        if tensor.counts.size > 1:
            kind, layer = place_of(tensor.name)
            key = NO_LAYER if layer is None else str(layer), tensor.counts.tobytes()
            grouped.setdefault(key, []).append((kind, tensor))
    return tuple(_coverage(layer, held) for (layer, _), held in grouped.items())


def never_hit(tensors: Sequence[TensorCalibration]) -> tuple[str, ...]:
    """List the tensors that nothing was multiplied by, though that was counted."""
    return tuple(tensor.name for tensor in tensors if tensor.counts.size and not np.any(tensor.counts))


def _coverage(layer: str, held: Sequence[tuple[str, TensorCalibration]]) -> ExpertCoverage:
    counts = held[0][1].counts.astype(np.float64)
    even = float(np.mean(counts))
    few = np.flatnonzero((counts > 0) & (counts < HARDLY * even))
    return ExpertCoverage(
        layer=layer,
        kinds=tuple(kind for kind, _ in held),
        experts=counts.size,
        never=tuple(np.flatnonzero(counts == 0).tolist()),
        hardly=tuple(few.tolist()),
        least=float(np.min(counts)),
        even=even,
    )
