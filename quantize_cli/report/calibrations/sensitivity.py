"""What it costs to store tensors in fewer bits, in nats a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantize_cli.gguf_file.types import WRITABLE_TYPES, GgmlType
from quantize_cli.sensitivity.model import TensorCalibration

#: The type at which tensors are compared.
REFERENCE = "Q4_K"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one tensor costs at one type."""

    name: str
    type: str
    nats: float


def costs_near(tensors: Sequence[TensorCalibration]) -> tuple[Cost | None, ...]:
    """Return each tensor's cost at REFERENCE, or at the measured type nearest to it in bits; None if unmeasured."""
    return tuple(
        None if (near := _nearest(tensor.costs)) is None else Cost(tensor.name, near, tensor.costs[near])
        for tensor in tensors
    )


def measured_types(tensors: Sequence[TensorCalibration]) -> tuple[str, ...]:
    """List the types that were measured of some tensor, from the most bits to the fewest."""
    measured = {type_ for tensor in tensors for type_ in tensor.costs}
    return tuple(type_ for type_ in WRITABLE_TYPES if type_ in measured)


def totals(tensors: Sequence[TensorCalibration]) -> tuple[tuple[str, int, float], ...]:
    """Add up the costs of each type: the type, how many tensors were measured at it, and nats a token of them all."""
    return tuple(
        (type_, len(costs), sum(costs))
        for type_ in measured_types(tensors)
        for costs in [[tensor.costs[type_] for tensor in tensors if type_ in tensor.costs]]
    )


def _nearest(costs: Mapping[str, float]) -> str | None:
    wanted = _bits(WRITABLE_TYPES[REFERENCE])
    known = [type_ for type_ in WRITABLE_TYPES if type_ in costs]
    return min(known, key=lambda type_: abs(_bits(WRITABLE_TYPES[type_]) - wanted), default=None)


def _bits(held: GgmlType) -> float:
    return 8 * held.block_bytes / held.block_size
