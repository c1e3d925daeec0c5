"""The gradients at what the matrices of a block make of each token: how much a token's error counts, and which way."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.calibrate.joining import Joined
from quantize_cli.calibrate.products import Product

#: The tensors whose rows' errors are told apart, by the name behind "blk.N.": for the others it brought nothing, and
#: the Hessian of ffn_gate and ffn_up is large.
TWO_SIDED = ("attn_q.weight", "attn_k.weight", "attn_output.weight")
#: A token's input counts at most so many medians there.
_MOST_MEDIANS = 20
#: How many directions of the outputs are kept.
RANK = 64
#: Of the subspace; more change the fourth digit.
_ITERATIONS = 6


class OutputGradients:
    """What is known of one block, which grows by one sequence's gradients at a time.

    Args:
        joined: Which parameters the tensors are.
        shape: Sequences, and tokens of each.
        measured: How many of the first sequences the output Hessians are of.
    """

    def __init__(self, joined: Joined, shape: tuple[int, ...], measured: int) -> None:
        self._joined, self._shape, self._measured = joined, shape, measured
        self._weights: dict[int, Tensor] = {}
        self._hessians: dict[int, Tensor] = {}
        stacks = {name for name, matrix in joined.places if matrix}
        self._rows = {name: list(_rows(joined, name)) for name in joined.parameters if name not in stacks}

    def watch(self, sequence: int, product: Product) -> None:
        """Count the gradient of a product of a sequence, once it is there."""
        if product.outputs.requires_grad and product.parameter in self._rows:
            product.outputs.register_hook(partial(self._count, sequence, product.parameter, product.inputs))

    def of(self) -> dict[str, NDArray[np.float32]]:
        """Return "weights NAME" float32[sequences, context] and, of some, "outputs NAME" as `factors` returns it."""
        found = {}
        for number, weights in self._weights.items():
            mean = weights[: self._measured].mean()
            if mean > 0:
                found[f"weights {self._joined.tensors[number].name}"] = (weights / mean).cpu().numpy()
        for number, hessian in self._hessians.items():
            if (mean := float(hessian.diagonal().mean())) > 0:
                found[f"outputs {self._joined.tensors[number].name}"] = factors(hessian / mean).cpu().numpy()
        return found

    def _count(self, sequence: int, parameter: str, inputs: Tensor, gradient: Tensor) -> None:
        flat = gradient.detach().reshape(-1, gradient.shape[-1]).float()
        if len(flat) != self._shape[1]:
            return
        for number, rows in self._rows[parameter]:
            mine = flat if len(rows) == flat.shape[1] and (rows == np.arange(len(rows))).all() else flat[:, rows]
            if number not in self._weights:
                self._weights[number] = torch.zeros(self._shape, device=flat.device)
            self._weights[number][sequence] += mine.square().sum(1)
            if sequence < self._measured and self._joined.tensors[number].name.endswith(TWO_SIDED):
                sizes = inputs.float().square().sum(1)
                counted = mine * sizes.clamp_max(_MOST_MEDIANS * sizes.median())[:, None]
                hessian = counted.T @ mine
                self._hessians[number] = self._hessians[number] + hessian if number in self._hessians else hessian


def factors(hessian: Tensor) -> Tensor:
    """Return what is kept of a symmetric matrix [n, n] without negative eigenvalues, at most [1 + RANK, n].

    The matrix is about factors[1:].T @ factors[1:] + diag(factors[0]): its largest eigenvalues, found by iteration on a
    subspace, and what they leave of the diagonal. The rest is small for queries and keys, and for outputs it is mostly
    the noise of few sequences.
    """
    rank = min(RANK, len(hessian))
    start = torch.randn(len(hessian), rank, generator=torch.Generator().manual_seed(0)).to(hessian.device)
    basis = torch.linalg.qr(start).Q
    for _ in range(_ITERATIONS):
        basis = torch.linalg.qr(hessian @ basis).Q
    values, vectors = torch.linalg.eigh(basis.T @ hessian @ basis)
    leading = ((basis @ vectors) * values.clamp_min(0).sqrt()).T
    rest = (hessian.diagonal() - leading.square().sum(0)).clamp_min(0)
    return torch.cat([rest[None], leading])


def _rows(joined: Joined, parameter: str) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the tensors in a parameter, and for each of their rows the parameter's, if all are there."""
    place = joined.places[parameter, 0]
    for number in np.unique(place.tensors[place.tensors >= 0]):
        mine = np.flatnonzero((place.tensors == number) & (place.rows >= 0))
        if len(mine) == joined.tensors[number].rows:
            yield int(number), mine[np.argsort(place.rows[mine])]
