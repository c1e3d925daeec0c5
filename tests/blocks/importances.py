"""Importance of a row's columns: named recipes, the same for every type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _squares(rng: np.random.Generator, columns: int) -> ArrayLike:
    """What an importance matrix of activations looks like: mean squares of very different size."""
    return np.exp(2 * rng.standard_normal(columns)) * rng.standard_normal(columns) ** 2


def _some_zero(rng: np.random.Generator, columns: int) -> ArrayLike:
    return np.where(rng.random(columns) < 0.5, 0, _squares(rng, columns))


def _zero_blocks(rng: np.random.Generator, columns: int) -> ArrayLike:
    """Sub-blocks of 16 that count nothing, beside others."""
    return np.where(np.arange(columns) // 16 % 3 == 1, 0, _squares(rng, columns))


def _one_column(rng: np.random.Generator, columns: int) -> ArrayLike:
    return np.asarray(np.arange(columns) % 32 == rng.integers(32))


def _huge_range(rng: np.random.Generator, columns: int) -> ArrayLike:
    return 10.0 ** rng.uniform(-38, 38, columns)


RECIPES: dict[str, Callable[[np.random.Generator, int], ArrayLike]] = {
    "squares": _squares,
    "ones": lambda _rng, columns: np.ones(columns),
    "all zero": lambda _rng, columns: np.zeros(columns),
    "some columns zero": _some_zero,
    "some sub-blocks zero": _zero_blocks,
    "one column in 32": _one_column,
    "huge range": _huge_range,
    "near 1e-27": lambda rng, columns: rng.random(columns) * 1e-27,  # the sums of IQ1's scales underflow
    "tiny": lambda rng, columns: rng.random(columns) * 1e-38,
    "huge": lambda rng, columns: rng.random(columns) * 1e38,
}


def importance(name: str, columns: int) -> NDArray[np.float32]:
    """The importance of that name for rows of `columns` weights, float32[columns]."""
    rng = np.random.default_rng([columns, *name.encode()])
    return np.asarray(RECIPES[name](rng, columns), np.float32)
