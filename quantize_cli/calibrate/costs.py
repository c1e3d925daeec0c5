"""What it costs to store a tensor in a type, in nats a token.

The KL divergence of a model from itself with weights changed by D is, to second order, half the Fisher information of
D: E[(sum_j g_j D_j)^2] / 2, where g is the gradient of -ln p(y) and y is drawn from the model's own predictions. Labels
of different positions are drawn independently, so that the square of a sequence's summed gradient has the sum of its
tokens' squares as its mean: one backward pass a sequence serves all its tokens. Errors of different rows are taken to
be independent: cost = 1 / (2 tokens) * sum over sequences and rows of (sum_j G_rj D_rj)^2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.calibrate.backwards import Meaning
from quantize_cli.calibrate.joining import Joined
from quantize_cli.planning.model import PlannedTensor

Rows = NDArray[np.float32]

#: The largest code of a change.
_LARGEST = 127
#: Changes that are numbers at once, so that they stay in a core's own cache.
_AT_ONCE = 1 << 19


class BlockCosts:
    """The costs of the tensors of one block, which grow by one sequence's gradients at a time.

    Args:
        joined: Which parameters the tensors are.
        types: GGUF name -> the types that are measured.
        changes: Reads a tensor, and returns what tells what storing it in a type changes, float32[rows, columns] in the
            GGUF layout.
        device: Where gradients lie.
    """

    def __init__(
        self,
        joined: Joined,
        types: Mapping[str, Sequence[str]],
        changes: Callable[[PlannedTensor], Callable[[str], Rows]],
        device: torch.device,
    ) -> None:
        self._joined, self._measured = joined, types
        self._types = {name: _types_of(joined, name, types) for name in joined.parameters}
        self._totals = {
            name: torch.zeros(len(joined.tensors) + 1, len(held), dtype=torch.float64, device=device)
            for name, held in self._types.items()
        }
        self._tensors = {name: torch.from_numpy(joined.numbers(name)).to(device) for name in joined.parameters}
        self._changes = {name: _Changes(len(held)) for name, held in self._types.items()}
        for parameters, tensors in joined.groups:
            self._keep(parameters, tensors, types, {tensor.name: changes(tensor) for tensor in tensors}, device)

    def _keep(
        self,
        parameters: Sequence[str],
        tensors: Sequence[PlannedTensor],
        types: Mapping[str, Sequence[str]],
        changes: Mapping[str, Callable[[str], Rows]],
        device: torch.device,
    ) -> None:
        """Take in what types change of some parameters, and of the tensors that lie in them and nowhere else."""
        for type_name in dict.fromkeys(name for parameter in parameters for name in self._types[parameter]):
            made = self._joined.values(partial(_change, type_name, types, changes), Meaning.CHANGES, tensors)
            for parameter in parameters:
                if type_name in self._types[parameter]:
                    rows = self._joined.rows(parameter, made[parameter]).to(device)
                    self._changes[parameter].keep(self._types[parameter].index(type_name), rows)

    def add(self, parameter: str, gradient: Tensor) -> None:
        """Count a sequence's gradient of a parameter, in its shape."""
        if parameter in self._changes:
            along = self._changes[parameter].along(self._joined.rows(parameter, gradient.float()))
            self._totals[parameter].index_add_(0, self._tensors[parameter], along.double().square())

    def of(self, tokens: int) -> dict[str, dict[str, float]]:
        """Return GGUF name -> type -> nats a token, given how many tokens all sequences have."""
        found: dict[str, dict[str, float]] = {tensor.name: {} for tensor in self._joined.tensors}
        for parameter, totals in self._totals.items():
            for tensor, row in zip(self._joined.tensors, totals.tolist(), strict=False):
                costs = found[tensor.name]
                for name, total in zip(self._types[parameter], row, strict=True):
                    if self._joined.has(parameter, tensor) and name in self._measured[tensor.name]:
                        costs[name] = costs.get(name, 0.0) + total / (2 * tokens)
        return found


class _Changes:
    """What some types change of a parameter, in 8 bits.

    Each row of each type has a scale of its own, so that the rounding is small, and as often up as down. In float32,
    the changes of a block in twenty types would be the largest thing in memory by far.
    """

    def __init__(self, types: int) -> None:
        self._types = types
        self._codes: Tensor | None = None  #: int8[rows, types, columns]
        self._scales: Tensor | None = None  #: float32[rows, types]

    def keep(self, number: int, rows: Tensor) -> None:
        """Take in what type `number` changes, float32[rows, columns]."""
        if self._codes is None or self._scales is None:
            shape = len(rows), self._types, rows.shape[1]
            self._codes = torch.zeros(shape, dtype=torch.int8, device=rows.device)
            self._scales = torch.zeros(shape[:2], device=rows.device)
        scales = rows.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / _LARGEST
        self._scales[:, number] = scales
        self._codes[:, number] = (rows / scales[:, None]).round().to(torch.int8)

    def along(self, gradient: Tensor) -> Tensor:
        """Multiply each row of a gradient float32[rows, columns] by its changes; return float32[rows, types]."""
        if self._codes is None or self._scales is None:
            return torch.zeros(len(gradient), self._types, device=gradient.device)
        found = torch.empty_like(self._scales)
        step = max(1, _AT_ONCE // (self._codes.shape[1] * self._codes.shape[2]))
        for start in range(0, len(gradient), step):
            some = slice(start, start + step)
            found[some] = torch.bmm(self._codes[some].float(), gradient[some, :, None])[:, :, 0]
        return found * self._scales


def _types_of(joined: Joined, parameter: str, types: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the types of all tensors that lie in a parameter."""
    return list(
        dict.fromkeys(name for tensor in joined.tensors if joined.has(parameter, tensor) for name in types[tensor.name])
    )


def _change(
    name: str, types: Mapping[str, Sequence[str]], changes: Mapping[str, Callable[[str], Rows]], tensor: PlannedTensor
) -> Rows:
    """Return what a type changes, or zeros if the tensor is not measured in it."""
    if name in types[tensor.name]:
        return changes[tensor.name](name)
    return np.zeros((tensor.rows, tensor.columns), np.float32)
