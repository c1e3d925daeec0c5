"""The grids as data are those of an independent source, the package gguf."""

from __future__ import annotations

import gguf.quants
import numpy as np
import pytest
from numpy.typing import NDArray

from quantize_cli.blocks.grids.points import grid_points
from quantize_cli.blocks.iq2.grid import FULL, Iq2Grid, iq2_grid
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


def _neighbours(grid: Iq2Grid, place: int) -> NDArray[np.int64]:
    start = -1 - grid.places[place]
    patterns = grid.neighbours[start + 1 : start + 1 + grid.neighbours[start]]
    return patterns.astype(np.int64)[:, None] >> 2 * np.arange(8) & 3


@pytest.mark.parametrize(("name", "shorter"), [("IQ2_XXS", True), ("IQ2_XS", True), ("IQ2_S", False)])
def test_a_short_list_lacks_what_an_earlier_neighbour_outdoes(name: str, shorter: bool) -> None:
    grid = iq2_grid(name)
    missing = 0
    for pattern in np.flatnonzero(grid.places[:FULL] < -1)[::100]:
        here = pattern >> 2 * np.arange(8) & 3
        full, short = (_neighbours(grid, first + pattern) - here for first in (FULL, 0))
        outdone = [
            any((np.minimum(0, away) <= other).all() and (other <= np.maximum(0, away)).all() for other in full[:i])
            for i, away in enumerate(full)
        ]
        assert np.array_equal(short, full[~np.array(outdone)])
        missing += sum(outdone)
    assert (missing > 0) == shorter
