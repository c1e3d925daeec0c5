"""What the choice of blocks by a method will take, said before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from quantize_cli.calibrate.estimate import Cost, speed
from quantize_cli.calibrate.method import compared
from quantize_cli.calibrate.settings import settings_of
from quantize_cli.calibrate.skeleton import OUTSIDE
from quantize_cli.calibrate.subject import Model, model_of
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.methods.needs import needs_of_method
from quantize_cli.methods.table import Method
from quantize_cli.planning.model import Plan, PlannedTensor
from quantize_cli.sensitivity.model import Calibration

#: Forward passes of all tokens through each block, whose matrices are rounded in stages.
_PASSES = 2.7
#: Models that are compared, on tokens of their own: the original, the method's, and those beside it.
_COMPARED = 4
#: CPU seconds for the rounding of a weight, for each column of its matrix: 0.14 µs at 576 columns, 1.2 at 4096.
_ROUNDING = 0.3e-9
#: CPU seconds for the reference's search for a weight's block, and how often it is done: to judge the rounding, and for
#: the files beside it.
_SEARCH, _SEARCHES = 0.2e-6, 3


def foretell(
    checkpoint: Checkpoint,
    plans: Sequence[Plan],
    method: Method,
    calibration: Calibration,
    device: str | None,
    threads: int,
) -> list[Cost]:
    """Estimate what the choice will take, plan by plan.

    Raises:
        QuantizeError: The engine cannot run the model, or compare files of it.
    """
    model = model_of(checkpoint, settings_of(device, None))
    tokens, scored = calibration.tokens.size, compared(model, calibration.context).tokens.size
    measured = speed(model)
    costs = []
    for plan in plans:
        needs = needs_of_method(plan, method, calibration, threads)
        seconds = _seconds(model, plan, tokens, scored, measured, threads)
        costs.append(Cost(seconds, needs.memory_bytes, needs.disk_bytes))
    return costs


def _seconds(model: Model, plan: Plan, tokens: int, scored: int, measured: float, threads: int) -> float:
    weights = sum(held.numel() for part in _parts(model) for held in model.skeleton.parameters(part).values())
    rounded = [tensor for tensor in plan.tensors if GGML_TYPES[tensor.type].quantized]
    passes = 2 * weights * (_PASSES * tokens + _COMPARED * scored)
    hessians = sum(2 * tokens * tensor.columns**2 for tensor in rounded if not _has_a_row_of_each_token(tensor))
    rounding = sum((_ROUNDING * tensor.columns + _SEARCHES * _SEARCH) * tensor.weights for tensor in rounded)
    return (passes + hessians) / measured + rounding / threads


def _has_a_row_of_each_token(tensor: PlannedTensor) -> bool:
    """Tell whether the calibration has the tensor's Hessian."""
    return not tensor.name.startswith("blk.")


def _parts(model: Model) -> range:
    return range(OUTSIDE, len(model.skeleton))
