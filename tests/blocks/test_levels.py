"""Scales and levels as separate steps: what `Grid.read` takes apart makes the values, and the blocks again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from blocks.checks import dequantized, quantized
from blocks.hard_rows import hard_rows
from quantize_cli.blocks.base import BlockType, Grid
from quantize_cli.blocks.table import BLOCK_TYPES

#: Types with a grid -> where their float16 are in a block.
HALVES = {
    "Q8_0": (0,),
    "Q6_K": (208,),
    "Q5_K": (0, 2),
    "Q5_1": (0, 2),
    "Q5_0": (0,),
    "Q4_K": (0, 2),
    "Q4_1": (0, 2),
    "Q4_0": (0,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
    "Q3_K": (108,),
    "Q2_K": (80, 82),
}
#: Float16 that are hard: zeros, the smallest, subnormal ones, the largest, of both signs.
HARD_HALVES = np.array([0.0, -0.0, 2.0**-24, -(2.0**-24), 3e-6, -3e-6, 65504, -65504, 1], np.float16)
RECIPES = ("normal", "offset", "zeros", "negative zeros", "scale 1e-7", "scale 1e-38", "all -1e4", "zero sub-blocks")

#: Types whose tests are not slow: each type has two kernels of its own to compile.
QUICK = ("Q4_0", "Q4_1", "Q3_K")
every_grid = pytest.mark.parametrize(
    "block_type",
    [pytest.param(BLOCK_TYPES[name], id=name, marks=() if name in QUICK else pytest.mark.slow) for name in HALVES],
)


class Parts(NamedTuple):
    """The arguments that `read` fills and `write` reads."""

    heads: NDArray[np.float32]
    scales: NDArray[np.float32]
    lows: NDArray[np.float32]
    levels: NDArray[np.uint8]


def grid_of(block_type: BlockType) -> Grid:
    """The grid, which must be there."""
    assert block_type.grid is not None
    return block_type.grid


def new_parts(block_type: BlockType, count: int) -> Parts:
    """Room for that many blocks, not clean."""
    groups = block_type.block_size // grid_of(block_type).group
    heads, scales, lows = (np.full((count, width), 12345, np.float32) for width in (2, groups, groups))
    return Parts(heads, scales, lows, np.full((count, block_type.block_size), 0xA5, np.uint8))


def taken_apart(block_type: BlockType, packed: NDArray[np.uint8]) -> Parts:
    """The parts of blocks uint8[n, block_bytes]."""
    parts = new_parts(block_type, len(packed))
    grid_of(block_type).read(packed, *parts)
    return parts


def put_together(block_type: BlockType, parts: Parts) -> NDArray[np.uint8]:
    """The blocks of these parts, from a buffer that was not clean."""
    packed = np.full((len(parts.levels), block_type.block_bytes), 0x5A, np.uint8)
    grid_of(block_type).write(*parts, packed)
    return packed


def values_of(block_type: BlockType, parts: Parts) -> NDArray[np.float32]:
    """The values float32[n, block_size] by the formula of `Grid`, in NumPy."""
    grid = grid_of(block_type)
    d, dmin = parts.heads[:, :1], parts.heads[:, 1:]
    scale, low = (np.repeat(part, grid.group, axis=1) for part in (d * parts.scales, dmin * parts.lows))
    return scale * np.array(grid.points, np.float32)[parts.levels] - low


def random_blocks(block_type: BlockType, count: int) -> NDArray[np.uint8]:
    """Blocks of random bytes but for their float16, which are finite, in part hard."""
    rng = np.random.default_rng([count, *block_type.name.encode()])
    packed = rng.integers(256, size=(count, block_type.block_bytes), dtype=np.uint8)
    for place in HALVES[block_type.name]:
        halves = rng.standard_normal(count).astype(np.float16)
        hard = rng.random(count) < 0.5
        halves[hard] = rng.choice(HARD_HALVES, hard.sum())
        packed[:, place : place + 2] = halves.view(np.uint8).reshape(-1, 2)
    if block_type.name == "Q8_0":  # no encoder writes -128
        packed[:, 2:][packed[:, 2:] == 128] = 127
    return packed


def assert_same_values(block_type: BlockType, packed: NDArray[np.uint8], parts: Parts) -> None:
    """Assert that the parts give the values of the blocks, bit for bit."""
    expected, found = dequantized(block_type, packed), values_of(block_type, parts)
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_the_types_with_a_grid_are_these() -> None:
    assert {name for name, held in BLOCK_TYPES.items() if held.grid is not None} == set(HALVES)


@every_grid
@pytest.mark.parametrize("recipe", RECIPES)
def test_quantized_rows_are_taken_apart_and_put_together(block_type: BlockType, recipe: str) -> None:
    rows = hard_rows(recipe, block_type.block_size)
    importances = [None] if block_type.name == "Q8_0" else [None, np.square(rows[0]) + np.float32(1e-3)]
    for importance in importances:
        packed = quantized(block_type, rows, importance)
        parts = taken_apart(block_type, packed)
        assert_same_values(block_type, packed, parts)
        assert np.array_equal(put_together(block_type, parts), packed)


@every_grid
@pytest.mark.parametrize("count", [1, 7, 33, 200])
def test_any_bytes_are_taken_apart_and_put_together(block_type: BlockType, count: int) -> None:
    packed = random_blocks(block_type, count)
    parts = taken_apart(block_type, packed)
    assert_same_values(block_type, packed, parts)
    assert np.array_equal(put_together(block_type, parts), packed)


@every_grid
def test_the_ranges_are_those_that_can_be_stored(block_type: BlockType) -> None:
    grid, parts = grid_of(block_type), taken_apart(block_type, random_blocks(block_type, 400))
    assert (parts.scales.min(), parts.scales.max()) == grid.scales
    assert (parts.lows.min(), parts.lows.max()) == grid.lows
    assert (parts.levels.min(), parts.levels.max()) == (0, len(grid.points) - 1)
    assert list(grid.points) == sorted(set(grid.points))
    assert parts.heads[:, 1].any() == (grid.lows != (0, 0))


@every_grid
def test_the_kernels_do_what_plain_python_does(block_type: BlockType) -> None:
    grid, packed = grid_of(block_type), random_blocks(block_type, 2)
    parts, plain = taken_apart(block_type, packed), new_parts(block_type, 2)
    getattr(grid.read, "py_func", grid.read)(packed, *plain)
    for name in Parts._fields:
        assert np.array_equal(getattr(parts, name), getattr(plain, name)), name
    again = np.full_like(packed, 0x5A)
    getattr(grid.write, "py_func", grid.write)(*parts, again)
    assert np.array_equal(again, packed)


@every_grid
def test_heads_are_rounded_to_float16(block_type: BlockType) -> None:
    parts = taken_apart(block_type, random_blocks(block_type, 40))
    used = slice(0, len(HALVES[block_type.name]))
    parts.heads[:, used] = np.random.default_rng(1).standard_normal((40, 2))[:, used]
    before = parts.heads.copy()
    again = taken_apart(block_type, put_together(block_type, parts))
    assert np.array_equal(again.heads, before.astype(np.float16).astype(np.float32))
    assert np.array_equal(again.levels, parts.levels)
    assert np.array_equal(again.scales, parts.scales)


def test_the_byte_of_q8_0_that_no_encoder_writes_counts_as_the_lowest_level() -> None:
    packed = np.full((1, 34), 128, np.uint8)
    assert not taken_apart(BLOCK_TYPES["Q8_0"], packed).levels.any()
