"""The weights of error sums: how much each element's error counts."""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.vector import LANES, Floats, load, magnitude, splat, square_root, store

F = np.float32


@inner
def sum_of_squares(x: Lanes) -> Floats:
    """Sum x^2 in each lane."""
    total = splat(F(0))
    for i in range(0, x.size, LANES):
        value = load(x, i)
        total += value * value
    return total


@inner
def root_plus_magnitude(x: Lanes, root: Floats, w: Lanes) -> None:
    """Compute root + |x|, the weights of types with a min without importance; both flat float32[size * LANES]."""
    for i in range(0, x.size, LANES):
        store(w, i, root + magnitude(load(x, i)))


@inner
def weigh_importance(x: Lanes, importance: Lanes, variance: Floats, w: Lanes) -> Floats:
    """Compute importance * sqrt(variance + x^2), all flat float32[size * LANES]; return each lane's sum."""
    total = splat(F(0))
    for i in range(0, x.size, LANES):
        value = load(x, i)
        weight = load(importance, i) * square_root(variance + value * value)
        store(w, i, weight)
        total += weight
    return total


@inner
def squares(x: Lanes, w: Lanes) -> None:
    """Compute x^2, the weights of types without a min without importance; both flat float32[size * LANES]."""
    for i in range(0, x.size, LANES):
        value = load(x, i)
        store(w, i, value * value)
