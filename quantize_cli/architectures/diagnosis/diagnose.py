"""The order in which likely causes are tried."""

from __future__ import annotations

from collections.abc import Callable

from quantize_cli.architectures.diagnosis import contradictions, encodings, layers, leftovers, tensors
from quantize_cli.architectures.examine import Findings
from quantize_cli.errors import QuantizeError

#: From causes that tensors' names alone tell, to causes that a changed config.json would remove, to sentences that name
#: the fault and claim no cause. The first that applies counts.
CAUSES: tuple[Callable[[Findings], QuantizeError | None], ...] = (
    encodings.undecodable,
    encodings.quantized,
    leftovers.leftover,
    contradictions.empty,
    tensors.no_text,
    layers.missing_files,
    layers.more_layers,
    tensors.doubled,
    tensors.prefixed,
    layers.fewer_layers,
    layers.lost_layers,
    tensors.other_class,
    tensors.uneven,
    contradictions.vocabulary,
    contradictions.numbers,
    contradictions.rearranged,
    tensors.other_kind,
    tensors.unexpected,
    tensors.missing,
    contradictions.other_shapes,
    encodings.other_dtypes,
)


def diagnose(found: Findings) -> QuantizeError:
    """Return the error of a model with faults: the first cause that applies."""
    return next(error for cause in CAUSES if (error := cause(found)) is not None)
