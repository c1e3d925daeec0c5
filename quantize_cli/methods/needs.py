"""What a method takes beside the run that writes the file: an estimate from the plan alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from quantize_cli.methods.table import Method
from quantize_cli.planning.model import Plan, PlannedTensor
from quantize_cli.sensitivity.model import Calibration

#: Bytes of torch, its libraries and buffers.
ENGINE_BYTES = 700 << 20
#: Bytes of a number in the engine: float32.
ITEM = 4
#: Tokens that the files are compared on.
COMPARED_TOKENS = 8192
#: Bytes of embeddings and output matrices, of several files, that are in memory at once, unless two are larger.
HEADS_BYTES = 1 << 30
#: The original, the method's file, and those beside it.
_COMPARED_FILES = 4
#: Arrays of what is predicted of half a sequence: of two files, and what their divergence makes of them.
_PREDICTIONS = 7
#: The most bytes of Hessians that threads work on, unless two are larger.
_HESSIAN_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class MethodNeeds:
    """What the rounding of one plan takes."""

    memory_bytes: int  #: peak resident memory
    disk_bytes: int  #: of the hidden folder beside the output


def needs_of_method(plan: Plan, method: Method, calibration: Calibration, threads: int) -> MethodNeeds:
    """Estimate what the rounding of a plan's tensors takes.

    The more of two counts: rounding one block, or comparing the file with others. On the disk are the hidden states
    before and behind a block, and the blocks that are chosen.

    Args:
        plan: What is written.
        method: What rounds the tensors.
        calibration: That of the model.
        threads: Number of threads.
    """
    embedding = next((tensor for tensor in plan.tensors if tensor.name == "token_embd.weight"), None)
    vocabulary, width = (embedding.rows, embedding.columns) if embedding is not None else (0, 0)
    outside = sum(tensor.weights for tensor in plan.tensors if _block(tensor) is None)
    weights = _weights_of_blocks(plan.tensors)
    states = _COMPARED_FILES * COMPARED_TOKENS * width
    predictions = _PREDICTIONS * (calibration.context // 2) * vocabulary
    heads = max(2 * outside, min((_COMPARED_FILES + 1) * outside, HEADS_BYTES // ITEM))
    return MethodNeeds(
        memory_bytes=ENGINE_BYTES
        + max(
            2 * weights * ITEM + _hessians(plan.tensors, method, threads),
            (weights + heads + states + predictions) * ITEM,
        ),
        disk_bytes=2 * calibration.tokens.size * width * ITEM + sum(held.nbytes for held in plan.tensors),
    )


def hessians_at_once(nbytes: int, threads: int) -> int:
    """Return how many threads may add to Hessians of so many bytes."""
    return min(threads, max(2, _HESSIAN_BYTES // max(1, nbytes)))


def _block(tensor: PlannedTensor) -> str | None:
    """Return the number of a tensor's block, or None if it is outside of them."""
    kind, number, *_ = tensor.name.split(".")
    return number if kind == "blk" else None


def _weights_of_blocks(tensors: Sequence[PlannedTensor]) -> int:
    """Return the number of weights of the largest block."""
    weights = Counter[str]()
    for tensor in tensors:
        if (part := _block(tensor)) is not None:
            weights[part] += tensor.weights
    return max(weights.values(), default=0)


def _hessians(tensors: Sequence[PlannedTensor], method: Method, threads: int) -> int:
    """Return the bytes of the Hessians of matrices that are rounded together.

    Those are taken to be the matrices of a block with as many columns, or all of it if scales are moved. For each there
    are Hessians of what is measured, of what is held out, those that threads add to, the factor and its inverse.
    """
    together = Counter[tuple[str, int]]()
    for tensor in tensors:
        if (part := _block(tensor)) is not None and tensor.rows > 1:
            experts = tensor.rows // tensor.rows_of_an_expert
            together[part, 0 if method.folds else tensor.columns] += experts * tensor.columns**2 * ITEM
    stage = max(together.values(), default=0)
    return (2 + hessians_at_once(stage, threads) + 2) * stage
