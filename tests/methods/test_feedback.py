"""The kernel of GPTQ's feedback: as a plain twin, and as the method is written, has it."""

from __future__ import annotations

import numpy as np

from methods import kernel_twin as twin
from methods.problems import GRIDS, KINDS, F, curvature, each, hessian, same, searched, weights
from quantize_cli.methods.feedback import feed_back
from quantize_cli.methods.grid_shape import Fitted, shape_of

every_grid = each(GRIDS)


def fed_back(name, rows, lower, parts):
    """The levels of all blocks of rows, whose scales stay as they are, and where the rows have been moved to."""
    held, moving = GRIDS[name], twin.in_lanes(rows)
    size, groups, found = held.block_size, held.block_size // twin.grid_of(held).group, parts.copied()
    for block in range(rows.shape[1] // size):
        widths = (2, groups, groups, size)
        part = [held[:, block * width : (block + 1) * width] for held, width in zip(found, widths, strict=True)]
        fitted = Fitted(*map(twin.in_lanes, part))
        feed_back(moving, lower, block * size, fitted, shape_of(held))
        found.levels[:, block * size : (block + 1) * size] = twin.out_of_lanes(fitted.levels, len(rows))
    return found, twin.out_of_lanes(moving, len(rows))


def columns_of(name, blocks=2):
    return blocks * GRIDS[name].block_size


@every_grid
def test_levels_and_moved_weights_are_the_twins(name):
    held, rows = GRIDS[name], weights(5, columns_of(name, 1 if GRIDS[name].block_size == 256 else 3))
    lower, expected = curvature(hessian(rows.shape[1])).lower, searched(held, rows)
    found, moved = fed_back(name, rows, lower, expected)
    moving = rows.copy()
    for block in range(rows.shape[1] // held.block_size):
        twin.feed_back(moving, lower, held, expected, block)
    assert same(found, expected)
    assert np.array_equal(moved, moving)
    assert not np.array_equal(found.levels, searched(held, rows).levels)


@each(KINDS)
def test_the_method_as_it_is_written(name):
    """Column by column, with the inverse of the Hessian of the columns that are left, in float64."""
    held, rows = GRIDS[name], weights(4, columns_of(name))
    matrix, parts = hessian(rows.shape[1]), searched(GRIDS[name], rows)
    found, _ = fed_back(name, rows, curvature(matrix).lower, parts)
    scale, low = (part.astype(np.float64) for part in twin.steps_of(held, parts))
    points = np.array(twin.grid_of(held).points)
    moving, inverse = rows.astype(np.float64), np.linalg.inv(matrix.astype(np.float64))
    levels = parts.levels.copy()
    for column in range(rows.shape[1]):
        values = scale[:, column, None] * points - low[:, column, None]
        used = scale[:, column] != 0
        levels[used, column] = np.abs(values - moving[:, column, None]).argmin(1)[used]
        made = np.take_along_axis(values, levels[:, column, None].astype(np.int64), 1)[:, 0]
        moving -= ((moving[:, column] - made) / inverse[column, column])[:, None] * inverse[column]
        inverse -= np.outer(inverse[:, column], inverse[column]) / inverse[column, column]
    assert np.array_equal(found.levels, levels)


@every_grid
def test_where_inputs_do_not_hang_together_levels_are_the_nearest(name):
    held, rows = GRIDS[name], weights(3, columns_of(name))
    parts = searched(held, rows)
    found, moved = fed_back(name, rows, np.eye(rows.shape[1], dtype=F), parts)
    assert np.array_equal(moved, rows)
    scale, low = twin.steps_of(held, parts)
    made = np.array([scale * F(point) - low for point in twin.grid_of(held).points])
    distances = np.abs(made - rows)
    chosen = np.take_along_axis(distances, found.levels[None].astype(np.int64), 0)[0]
    assert (chosen <= distances.min(0) * F(1.00001) + F(1e-7) * np.abs(rows)).all()
    assert (scale != 0).mean() > 0.9


@each(KINDS)
def test_weights_without_a_scale_keep_the_level_of_the_search(name):
    held, rows = GRIDS[name], weights(2, columns_of(name))
    parts = searched(held, rows)
    parts.heads[0] = 0
    parts.scales[1, ::2] = 0
    found, moved = fed_back(name, rows, curvature(hessian(rows.shape[1])).lower, parts)
    unused = twin.steps_of(held, parts)[0] == 0
    assert unused[0].all()
    assert unused[1].any()
    assert np.array_equal(found.levels[unused], parts.levels[unused])
    assert np.isfinite(moved).all()
