"""Blocks side by side, and the helpers of kernels that lay them out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.lanes import load_lanes, new_lanes
from quantize_cli.simd.vector import LANES


@inner
def _doubled(value: int) -> int:
    return value + value


@kernel
def _quadrupled(value: int) -> int:
    return _doubled(_doubled(value))


@kernel
def _loaded(blocks: NDArray[np.float32], first: int, count: int) -> NDArray[np.float32]:
    lanes = new_lanes(blocks.shape[1])
    lanes[:] = np.float32(5)
    load_lanes(blocks, first, count, lanes)
    return lanes


def test_a_helper_of_kernels_answers_python_too() -> None:
    assert _quadrupled(3) == 12
    assert _doubled(3) == 6


@pytest.mark.parametrize("vectors", [1, 2, 7, 256])
def test_vectors_start_at_a_cache_line(vectors: int) -> None:
    for lanes in (new_lanes(vectors), _loaded(np.zeros((1, 16 * vectors), np.float32), 0, 1)):
        assert lanes.size % LANES == 0
        assert lanes.ctypes.data % 64 == 0
    assert new_lanes(vectors).shape == (vectors * LANES,)


@pytest.mark.parametrize(("rows", "first", "count"), [(40, 0, LANES), (40, 5, 7), (3, 0, LANES), (3, 7, 4), (1, 0, 1)])
def test_lanes_hold_blocks_that_start_again(rows: int, first: int, count: int) -> None:
    blocks = np.random.default_rng(0).standard_normal((rows, 48), dtype=np.float32)
    expected = np.zeros((48, LANES), np.float32)
    expected[:, :count] = blocks[(first + np.arange(count)) % rows].T
    assert np.array_equal(_loaded(blocks, first, count).reshape(48, LANES), expected)
