"""What the engine will take, said before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quantize_cli.calibrate.candidates import candidates_of
from quantize_cli.calibrate.skeleton import OUTSIDE
from quantize_cli.calibrate.subject import Model
from quantize_cli.methods.needs import ENGINE_BYTES
from quantize_cli.run.bounds import available_threads
from quantize_cli.texts.model import Sequences

#: Operations for each token and weight: 2 forward; 2 again and 4 backward for the gradients.
_OPERATIONS = 8
#: CPU seconds a weight for its rounding to all types: half a microsecond to one.
_SEARCHES = 0.7e-6
#: The side of the matrices by whose product the machine is measured.
_SIDE = 1024
#: Products, the fastest of which counts; the first one is slow.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work will take."""

    seconds: float
    memory_bytes: float
    disk_bytes: int  #: of the hidden folder beside the output

    def __str__(self) -> str:
        """Spell it, for a sentence."""
        memory, disk = size(self.memory_bytes), size(self.disk_bytes)
        return f"{minutes(self.seconds)}, {memory} of memory, and {disk} of disk space beside the output"


def estimate(model: Model, found: Sequences, types: Sequence[str]) -> Cost:
    """Estimate what a calibration will take."""
    skeleton, tokens = model.skeleton, found.tokens.size
    item = skeleton.settings.dtype.itemsize
    sizes = {part: sum(held.numel() for held in skeleton.parameters(part).values()) for part in _parts(model)}
    block = max((size for part, size in sizes.items() if part != OUTSIDE), default=0)
    most = max((len(candidates_of(tensor, None, types)) for tensor in model.plan.tensors), default=0)
    # What types change is kept in a byte; weights, their gradients, and some matrices in float32 stand beside.
    memory = ENGINE_BYTES + 2 * sizes[OUTSIDE] * item + block * (2 * item + 4 + most)
    hidden = int(getattr(skeleton.model.config, "hidden_size", 0))
    disk = (len(skeleton) + 2) * tokens * hidden * item
    weights = sum(sizes.values())
    seconds = _OPERATIONS * tokens * weights / speed(model) + _SEARCHES * weights / available_threads()
    return Cost(seconds, memory, disk)


def _parts(model: Model) -> range:
    return range(OUTSIDE, len(model.skeleton))


def speed(model: Model) -> float:
    """Measure operations a second by a product of matrices."""
    settings = model.skeleton.settings
    matrix = torch.ones(_SIDE, _SIDE, device=settings.device, dtype=settings.dtype)
    seconds = min(_timed(matrix) for _ in range(_TRIES))
    return 2 * _SIDE**3 / seconds


def _timed(matrix: Tensor) -> float:
    """Measure the seconds that the product of a matrix with itself takes, until its values are there."""
    started = time.perf_counter()
    (matrix @ matrix)[0, 0].item()
    return time.perf_counter() - started


def size(nbytes: float) -> str:
    """Spell an amount of memory, rounded up: "300 MiB", "1.5 GiB"."""
    return f"{math.ceil(nbytes / 2**30 * 10) / 10} GiB" if nbytes >= 1 << 30 else f"{math.ceil(nbytes / 2**20)} MiB"


def minutes(seconds: float) -> str:
    """Spell a time, rounded up: "90 seconds", "12 minutes"."""
    return f"{math.ceil(seconds / 60)} minutes" if seconds > 90 else f"{math.ceil(seconds)} seconds"
