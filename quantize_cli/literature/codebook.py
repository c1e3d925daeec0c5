"""Rounding to a list of levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.literature.base import Matrix


def nearest(levels: NDArray[np.float32], values: Matrix) -> Matrix:
    """Return the nearest level of each value; halfway between two, by the float32 mean of them, it is the lower.

    Args:
        levels: float32[n], ascending.
        values: float32 of any shape.
    """
    return levels[np.searchsorted((levels[:-1] + levels[1:]) / 2, values, side="left")]
