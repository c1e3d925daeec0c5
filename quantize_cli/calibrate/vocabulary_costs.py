"""The costs of the tensors with a row for each token of the vocabulary: the embedding and the output matrix.

Their gradients are too large to be kept for each sequence. The output matrix's rows share their inputs h, so that its
Fisher information is taken to be a product: row r's squared gradients at the logits, times one Hessian of the inputs,
E[|g|^2 h h^T] / E[|g|^2]. The embedding's row is one input of the model: its gradient is that of the token's places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rows = NDArray[np.float32]

#: Rows whose cost is computed at once.
_CHUNK = 4096


class OutputCosts:
    """What is known of the output matrix's gradients."""

    def __init__(self) -> None:
        self._rows: Tensor | None = None
        self._hessian: Tensor | None = None
        self._trace = 0.0

    def add(self, inputs: Tensor, gradients: Tensor) -> None:
        """Count a sequence's inputs [tokens, hidden] and gradients at the matrix's outputs, [tokens, vocabulary]."""
        squares = gradients.double().square()
        rows, weights = squares.sum(0), squares.sum(1)
        hessian = (inputs.double() * weights[:, None]).T @ inputs.double()
        self._rows = rows if self._rows is None else self._rows + rows
        self._hessian = hessian if self._hessian is None else self._hessian + hessian
        self._trace += float(weights.sum())

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Return everything that is known."""
        if self._rows is None or self._hessian is None:
            return {}
        return {
            "rows": self._rows.cpu().numpy(),
            "hessian": self._hessian.cpu().numpy(),
            "trace": np.array(self._trace),
        }

    @classmethod
    def of_state(cls, state: Mapping[str, NDArray[np.float64]]) -> OutputCosts:
        """Make a value of what `state` has returned."""
        made = cls()
        if state:
            made._rows, made._hessian = torch.from_numpy(state["rows"]), torch.from_numpy(state["hessian"])
            made._trace = float(state["trace"])
        return made

    def hessian(self) -> Rows | None:
        """Return the sum of |g|^2 h h^T, float32[hidden, hidden], or None if nothing was counted."""
        return None if self._hessian is None else self._hessian.float().cpu().numpy()

    def cost(self, change: Rows, tokens: int) -> float:
        """Return the cost in nats a token of a change float32[vocabulary, hidden] of the matrix."""
        if self._rows is None or self._hessian is None or self._trace == 0:
            return 0.0
        hessian = (self._hessian / self._trace).float()
        total = 0.0
        rows = min(len(change), len(self._rows))  # the file may lack rows of the checkpoint, or add rows of zeros
        for start in range(0, rows, _CHUNK):
            some = slice(start, min(start + _CHUNK, rows))
            changed = torch.from_numpy(change[some]).to(hessian.device)
            total += float((((changed @ hessian) * changed).sum(1).double() * self._rows[some]).sum())
        return total / (2 * tokens)


class EmbeddingCosts:
    """What is known of the embedding's gradients: for each sequence, that of each of its tokens' rows."""

    def __init__(self) -> None:
        self._found: list[tuple[NDArray[np.int64], Rows]] = []

    def add(self, tokens: Tensor, gradients: Tensor) -> None:
        """Count a sequence's tokens int64[n] and the gradients of their rows, [n, hidden]."""
        ids, places = torch.unique(tokens, return_inverse=True)
        summed = torch.zeros(len(ids), gradients.shape[1], dtype=torch.float32, device=gradients.device)
        summed.index_add_(0, places, gradients.float())
        self._found.append((ids.cpu().numpy(), summed.cpu().numpy()))

    def hessian(self) -> Rows | None:
        """Return the sum of g g^T over all rows, float32[hidden, hidden], or None if nothing was counted."""
        if not self._found:
            return None
        return np.sum([gradients.T @ gradients for _, gradients in self._found], axis=0, dtype=np.float32)

    def cost(self, change: Rows, tokens: int) -> float:
        """Return the cost in nats a token of a change float32[vocabulary, hidden] of the matrix."""
        along = (np.einsum("ij,ij->i", change[ids], gradients, dtype=np.float64) for ids, gradients in self._found)
        return float(sum(np.square(held).sum() for held in along)) / (2 * tokens)


def costs_of(
    roles: Sequence[OutputCosts | EmbeddingCosts], types: Sequence[str], change: Callable[[str], Rows], tokens: int
) -> dict[str, float]:
    """Return type -> nats a token of a tensor with these roles: a tied one has two."""
    found = {}
    for name in types:
        changed = change(name)
        found[name] = sum(role.cost(changed, tokens) for role in roles)
    return found
