"""The choice of a block's foldings: factors for which the reference's search makes smaller errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.architectures.folds import Fold
from quantize_cli.calibrate.planned import Planned
from quantize_cli.methods import awq
from quantize_cli.planning.model import PlannedTensor

Rows = NDArray[np.float32]
#: Name of a tensor -> the Hessians of the inputs of its experts, or the one of its inputs.
Hessians = Mapping[str, Sequence[Tensor]]


def chosen_factors(
    folds: Sequence[Fold],
    tensors: Sequence[PlannedTensor],
    measured: Hessians,
    held_out: Hessians,
    planned: Planned,
    pool: Executor,
) -> list[tuple[Fold, Rows]]:
    """Choose the factors of foldings whose readers' inputs are known; those that do not help are left out.

    Args:
        folds: The foldings of one block.
        tensors: Its tensors.
        measured: What factors are chosen by.
        held_out: What tells whether they help.
        planned: Reads the weights, none of which is folded.
        pool: Where foldings are worked on.
    """
    named = {tensor.name: tensor for tensor in tensors}
    known = [fold for fold in folds if any(name in measured for name in fold.multiplied)]
    found = pool.map(lambda fold: _factors(fold, named, measured, held_out, planned), known)
    return [(fold, factors) for fold, factors in zip(known, found, strict=True) if (factors != 1).any()]


def _factors(
    fold: Fold, named: Mapping[str, PlannedTensor], measured: Hessians, held_out: Hessians, planned: Planned
) -> Rows:
    """Choose the factors of one folding, float32[size], all 1 where no others are better on what is held out."""
    readers = [named[name] for name in fold.multiplied if name in measured]
    rows = [planned.original(tensor) for tensor in readers]
    factors = np.ones(fold.size, np.float32)
    for expert, numbers in enumerate(fold.numbers):
        mine = np.unique(numbers)
        matrices = [
            held[expert * tensor.rows_of_an_expert : (expert + 1) * tensor.rows_of_an_expert]
            if fold.experts > 1
            else held
            for tensor, held in zip(readers, rows, strict=True)
        ]
        own = np.searchsorted(mine, numbers)
        hessian, judge = (_mean(source, readers, expert, fold.experts) for source in (measured, held_out))
        types, squares = [tensor.type for tensor in readers], np.diagonal(hessian).copy()
        found = awq.choose(matrices, types, squares, hessian, own)
        before, behind = (
            awq.error(matrices, types, squares, judge, held[own]) for held in (np.ones_like(found), found)
        )
        if behind < before:
            factors[mine] = found
    return factors


def _mean(source: Hessians, readers: Sequence[PlannedTensor], expert: int, experts: int) -> Rows:
    """Return the mean of the readers' Hessians: of one expert, or of all where they share the factors."""
    held = [
        source[tensor.name][expert] if experts > 1 else torch.stack([*source[tensor.name]]).mean(0)
        for tensor in readers
    ]
    found: Rows = torch.stack(held).mean(0).cpu().numpy()
    return found
