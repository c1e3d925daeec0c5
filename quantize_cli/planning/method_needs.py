"""What a method takes beside the run that writes the file: an estimate from the plan alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from quantize_cli.planning.model import Plan, PlannedTensor

#: Bytes of torch, its libraries and buffers.
ENGINE_BYTES = 700 << 20
#: Bytes of a weight in the engine: float32.
_ITEM = 4


@dataclass(frozen=True, slots=True)
class MethodNeeds:
    """What the rounding of one plan takes."""

    memory_bytes: int  #: peak resident memory
    disk_bytes: int  #: of the hidden folder beside the output


def needs_of_method(plan: Plan, tokens: int) -> MethodNeeds:
    """Estimate what the rounding of a plan's tensors takes, with a calibration of so many tokens.

    In memory are the engine, what is outside of the blocks, and the largest block: its weights as they were and as they
    become, and for each of its matrices two Hessians, of what is measured and of what is held out. On the disk are the
    hidden states before and behind a block, and the blocks that are chosen.
    """
    weights, hessians = Counter[str](), Counter[str]()
    for tensor in plan.tensors:
        part = _part(tensor)
        weights[part] += tensor.weights
        if tensor.rows > 1:
            hessians[part] += tensor.columns**2
    outside = weights.pop("", 0)
    block = max((3 * weights[part] + 2 * hessians[part] for part in weights), default=0)
    return MethodNeeds(
        memory_bytes=ENGINE_BYTES + (outside + block) * _ITEM,
        disk_bytes=2 * tokens * _width(plan.tensors) * _ITEM + sum(held.nbytes for held in plan.tensors),
    )


def _part(tensor: PlannedTensor) -> str:
    """Return what tells a block from others: "blk.0"; "" is outside of them."""
    kind, _, rest = tensor.name.partition(".")
    return f"{kind}.{rest.partition('.')[0]}" if kind == "blk" else ""


def _width(tensors: Sequence[PlannedTensor]) -> int:
    return next((tensor.columns for tensor in tensors if tensor.name == "token_embd.weight"), 0)
