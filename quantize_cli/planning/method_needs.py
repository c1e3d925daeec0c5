"""What a method takes beside the run that writes the file: an estimate from the plan alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from quantize_cli.planning.model import Plan, PlannedTensor

#: Bytes of torch, its libraries and buffers.
ENGINE_BYTES = 700 << 20
#: Bytes of a number in the engine: float32.
ITEM = 4
#: The most bytes of Hessians that threads work on, unless two are larger.
_HESSIAN_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class MethodNeeds:
    """What the rounding of one plan takes."""

    memory_bytes: int  #: peak resident memory
    disk_bytes: int  #: of the hidden folder beside the output


def needs_of_method(plan: Plan, tokens: int, threads: int) -> MethodNeeds:
    """Estimate what the rounding of a plan's tensors takes.

    In memory are the engine and a block: its weights as they were and as they become, and the Hessians of the matrices
    that are rounded together: of what is measured, of what is held out, those that threads add to, and the factor and
    its inverse. Matrices of as many columns are taken to be rounded together. On the disk are the hidden states before
    and behind a block, and the blocks that are chosen.

    Args:
        plan: What is written.
        tokens: Those of the calibration.
        threads: Number of threads.
    """
    weights, hessians = Counter[str](), Counter[tuple[str, int]]()
    for tensor in plan.tensors:
        if (part := _block(tensor)) is not None:
            weights[part] += tensor.weights
            if tensor.rows > 1:
                experts = tensor.rows // tensor.rows_of_an_expert
                hessians[part, tensor.columns] += experts * tensor.columns**2 * ITEM
    stage = max(hessians.values(), default=0)
    return MethodNeeds(
        memory_bytes=ENGINE_BYTES
        + 2 * max(weights.values(), default=0) * ITEM
        + (2 + hessians_at_once(stage, threads) + 2) * stage,
        disk_bytes=2 * tokens * _width(plan.tensors) * ITEM + sum(held.nbytes for held in plan.tensors),
    )


def hessians_at_once(nbytes: int, threads: int) -> int:
    """Return how many threads may add to Hessians of so many bytes."""
    return min(threads, max(2, _HESSIAN_BYTES // max(1, nbytes)))


def _block(tensor: PlannedTensor) -> str | None:
    """Return the number of a tensor's block, or None if it is outside of them."""
    kind, number, *_ = tensor.name.split(".")
    return number if kind == "blk" else None


def _width(tensors: Sequence[PlannedTensor]) -> int:
    return next((tensor.columns for tensor in tensors if tensor.name == "token_embd.weight"), 0)
