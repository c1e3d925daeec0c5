"""The points of a grid: the groups of levels that a block can store by their number."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


def grid_points(name: str) -> NDArray[np.uint8]:
    """Read the grid of a type, "IQ2_XS": levels, uint8[points, weights of a group], in the order of their numbers."""
    points = files(__package__).joinpath(f"{name.lower()}.txt").read_bytes().split()
    digits = np.frombuffer(b"".join(points), np.uint8)
    return (digits - ord("0")).reshape(len(points), -1)
