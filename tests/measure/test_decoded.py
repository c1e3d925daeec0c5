"""What is decoded piece by piece is measured as if it were decoded before."""

from __future__ import annotations

import ast
import subprocess
import sys

import numpy as np
import pytest

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.measure import decoded
from quantize_cli.measure.accumulate import accumulate
from quantize_cli.measure.decoded import PIECE, TILE, measure
from quantize_cli.measure.sums import SUMS
from quantize_cli.measure.sums_of_rows import BLOCK
from quantize_cli.simd.compile import is_part

#: Rows and columns: shorter than a piece, a piece and a bit, several pieces.
SHAPES = [(3, 256), (2, PIECE + 256), (5, 3 * PIECE)]


def random_blocks(held, rows, columns):
    """Return random rows, and their blocks."""
    rng = np.random.default_rng(columns)
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    packed = np.empty((rows, held.row_bytes(columns)), np.uint8)
    held.quantize(x, packed, np.ones(columns, np.float32))
    return x, packed.reshape(-1, held.block_bytes)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_1", "Q4_K", "Q6_K", "Q3_K", "IQ4_XS", "TQ1_0", "IQ1_S", "BF16", "F32"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_sums_are_those_of_decoded_rows(name, weighted, rows, columns):
    held = BLOCK_TYPES[name]
    x, blocks = random_blocks(held, rows, columns)
    w = np.random.default_rng(0).random(columns, np.float32) if weighted else None
    y = np.empty_like(x)
    held.unpack(blocks, y.reshape(-1, held.block_size))
    expected, found = np.empty((rows, SUMS)), np.full((rows, SUMS), np.nan)
    accumulate(x, y, w, expected)
    measure(held.unpack, blocks, x, w, found)
    assert found.tobytes() == expected.tobytes()
    assert expected[:, 0].all()


def test_a_piece_holds_whole_blocks():
    assert PIECE % BLOCK == 0
    assert all(PIECE % held.block_size == 0 for held in BLOCK_TYPES.values())


def test_types_without_tables_are_decoded_inside_of_the_kernel():
    inside = {name for name, held in BLOCK_TYPES.items() if is_part(held.unpack)}
    assert {name for name in BLOCK_TYPES if name.startswith(("Q", "IQ4", "TQ", "MXFP4", "NVFP4"))} == inside


def test_other_types_are_decoded_a_tile_at_a_time(monkeypatch):
    monkeypatch.setattr(decoded, "TILE", 600)
    held = BLOCK_TYPES["BF16"]
    x, blocks = random_blocks(held, 7, 256)
    found, expected = np.empty((7, SUMS)), np.empty((7, SUMS))
    measure(held.unpack, blocks, x, None, found)
    monkeypatch.setattr(decoded, "TILE", TILE)
    measure(held.unpack, blocks, x, None, expected)
    assert found.tobytes() == expected.tobytes()


NAMES = """
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.measure.decoded import _measuring
from quantize_cli.simd.cache import spelled
from quantize_cli.simd.compile import is_part
print([(name, spelled(_measuring(held.unpack))) for name, held in BLOCK_TYPES.items() if is_part(held.unpack)])
"""


def test_the_cache_tells_the_kernels_of_types_apart_and_finds_them_in_another_process():
    spelled = [subprocess.check_output([sys.executable, "-c", NAMES], text=True) for _ in range(2)]
    assert spelled[0] == spelled[1]
    keys = [key for _, key in ast.literal_eval(spelled[0])]
    assert len(keys) > 15
    assert len(set(map(repr, keys))) == len(keys)
