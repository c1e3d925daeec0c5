"""The choice of factors for a folding: activation-aware weight quantization (AWQ, arXiv 2306.00978).

A channel that large inputs come through is worth a finer rounding, so its weights are multiplied by a factor and its
inputs divided by it. The factors are powers of the channels' root mean squares; the exponent that gives the least error
of the outputs is found by trying.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.table import BLOCK_TYPES

#: Exponents that are tried beside 0, which does not change anything.
STEPS = 20
#: The least root mean square of a channel that counts, as a part of the largest, which bounds the factors.
_LEAST = np.float32(1e-4)

Rows = NDArray[np.float32]


def choose(
    matrices: Sequence[Rows],
    types: Sequence[str],
    squares: Rows,
    hessian: Rows,
    numbers: NDArray[np.int64] | None = None,
) -> Rows:
    """Choose the factors of a folding by the errors of the matrices that read it.

    Args:
        matrices: Their weights, each float32[rows, columns], finite.
        types: The block type of each; one that is not quantized does not have an error.
        squares: Mean squares of the inputs, float32[columns].
        hessian: Mean products of the inputs, float32[columns, columns], weighted or not.
        numbers: The number of each column's factor, int64[columns], where columns share them; None if each has its own.

    Returns:
        What columns are multiplied by, float32[factors]: within 100 of 1, and all 1 where no others are better.
    """
    numbers = np.arange(len(squares)) if numbers is None else numbers
    candidates = factors_of(shared(squares, numbers))
    errors = [error(matrices, types, squares, hessian, factors[numbers]) for factors in candidates]
    return candidates[int(np.argmin(errors))]


def shared(squares: Rows, numbers: NDArray[np.int64]) -> Rows:
    """Return the mean of `squares`, float32[columns], over the columns of each factor, float32[factors]."""
    return (np.bincount(numbers, squares) / np.bincount(numbers)).astype(np.float32)


def factors_of(squares: Rows) -> list[Rows]:
    """Return the factors that are tried, by exponents from 0 to 1; least and largest of each are 1 / x and x."""
    magnitudes = np.sqrt(squares, dtype=np.float32)
    largest = magnitudes.max()
    if not largest > 0:
        return [np.ones_like(magnitudes)]
    magnitudes = np.maximum(magnitudes / largest, _LEAST)
    powers = [magnitudes ** np.float32(step / STEPS) for step in range(STEPS + 1)]
    return [(power / np.sqrt(power.max() * power.min())).astype(np.float32) for power in powers]


def error(matrices: Sequence[Rows], types: Sequence[str], squares: Rows, hessian: Rows, factors: Rows) -> float:
    """Return the sum over matrices of tr(D H D^T), D what rounding with the columns' factors changes."""
    importance = (squares / np.square(factors)).astype(np.float32)
    return math.fsum(
        _quadratic(_rounded(rows * factors, name, importance) / factors - rows, hessian)
        for rows, name in zip(matrices, types, strict=True)
        if BLOCK_TYPES[name].facts.quantized
    )


def _quadratic(changes: Rows, hessian: Rows) -> float:
    return float(np.sum(changes @ hessian * changes, dtype=np.float64))


def _rounded(rows: Rows, type_name: str, importance: Rows) -> Rows:
    """Return rows as they are read back from blocks that the reference's search has made."""
    held = BLOCK_TYPES[type_name]
    packed = np.empty((len(rows), held.row_bytes(rows.shape[1])), np.uint8)
    held.quantize(rows, packed, importance)
    made = np.empty_like(rows)
    held.dequantize(packed, made)
    return made
