"""Matrices to round, and Hessians of their inputs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from methods.kernel_twin import Parts, Rows, taken_apart
from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.methods.curvature import Curvature

F = np.float32
#: Types with a grid, by name.
GRIDS = {name: held for name, held in BLOCK_TYPES.items() if held.grid is not None}
#: Types of each kind: by one scale, by one scale and a low, with points that are not in a row, with scales inside.
KINDS = ("Q4_0", "Q4_1", "IQ4_NL", "Q2_K", "Q3_K", "IQ4_XS")
#: Types whose tests are not slow: each type has kernels of its own to compile.
_QUICK = ("Q4_0", "Q4_1", "Q3_K")


def each(names):
    """Parametrize a test by the name of a type."""
    marked = [pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow) for name in names]
    return pytest.mark.parametrize("name", marked)


def weights(rows: int, columns: int, seed: int = 0) -> Rows:
    """Weights whose rows differ in size and have outliers."""
    rng = np.random.default_rng([seed, rows, columns])
    held = rng.standard_t(4, (rows, columns)) * 10.0 ** rng.uniform(-3, 1, (rows, 1))
    return held.astype(F)


def hessian(columns: int, seed: int = 0, damping: float = 0.1) -> Rows:
    """A damped Hessian of inputs that lie near a space of few dimensions; the mean of its diagonal is about 1."""
    rng = np.random.default_rng([seed, columns])
    inputs = rng.standard_normal((columns, 8)) @ rng.standard_normal((8, columns))
    inputs += rng.standard_normal((columns, columns))
    held = inputs.T @ inputs
    held = held / np.diagonal(held).mean() + damping * np.eye(columns)
    return np.ascontiguousarray((held + held.T) / 2, F)


def curvature(held: Rows) -> Curvature:
    """A Hessian with the factor of its inverse."""
    lower = np.linalg.cholesky(np.linalg.inv(held.astype(np.float64)))
    return Curvature(held, np.ascontiguousarray(lower, F))


def searched(held: BlockType, rows: Rows, importance: Rows | None = None) -> Parts:
    """What the reference's search makes of rows."""
    packed = np.empty((len(rows), held.row_bytes(rows.shape[1])), np.uint8)
    held.quantize(rows, packed, importance)
    return taken_apart(held, packed)


def loss(change: Rows, held: Rows) -> NDArray[np.float64]:
    """D H D^T of each row, float64[rows]."""
    wide = change.astype(np.float64)
    return np.einsum("ri,ij,rj->r", wide, held.astype(np.float64), wide, optimize=True)


def same(found: Parts, expected: Parts) -> bool:
    """Whether parts are equal, zeros of both signs too."""
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
