"""The grids as data are those of an independent source, the package gguf."""

from __future__ import annotations

import gguf.quants
import numpy as np
import pytest

from quantize_cli.blocks.grids.points import grid_points
from quantize_cli.blocks.iq3.grid import iq3_grid

SHAPES = {
    "IQ1_S": (2048, 8),
    "IQ2_XXS": (256, 8),
    "IQ2_XS": (512, 8),
    "IQ2_S": (1024, 8),
    "IQ3_XXS": (256, 4),
    "IQ3_S": (512, 4),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_points_are_those_of_gguf(name: str) -> None:
    theirs = getattr(gguf.quants, name)
    theirs.init_grid()
    levels = grid_points(name)
    assert levels.shape == SHAPES[name]
    assert np.array_equal(np.array(theirs.grid_map)[levels], theirs.grid[0, 0])


@pytest.mark.parametrize("name", ["IQ3_XXS", "IQ3_S"])
def test_what_the_points_of_iq3_decode_to_is_gguf_s(name: str) -> None:
    theirs = getattr(gguf.quants, name)
    theirs.init_grid()
    assert np.array_equal(iq3_grid(name).values, theirs.grid.reshape(-1))
