"""The scales of MXFP4 and NVFP4, powers of two and small floats, at and beside every boundary between two of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import fp4, ggml

from blocks.checks import assert_same_blocks, quantized
from quantize_cli.blocks.table import BLOCK_TYPES


def _around(values: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The positive finite float32 up to `reach` steps beside each value."""
    steps = np.arange(-reach, reach + 1, dtype=np.int64)
    bits = np.unique(values.view(np.int32).astype(np.int64)[:, None] + steps)
    return bits[(bits > 0) & (bits < 0x7F800000)].astype(np.int32).view(np.float32)


def _powers_of_two() -> NDArray[np.float32]:
    """All of them, and infinity."""
    with np.errstate(over="ignore"):
        return np.ldexp(np.float32(1), np.arange(-149, 129)).astype(np.float32)


def _log2_boundaries() -> NDArray[np.float32]:
    """log2f rounds up to the exponent of a power of two from up to 44 steps below it."""
    return _around(_powers_of_two(), 100)


def _ue4m3_boundaries() -> NDArray[np.float32]:
    """Six times the numbers of UE4M3, and the middles between them."""
    numbers = np.concatenate([np.arange(8) / 512, np.ldexp(np.arange(8, 17)[:, None], np.arange(-9, 7)).ravel()])
    numbers = np.unique(numbers)
    return _around(np.concatenate([numbers, (numbers[1:] + numbers[:-1]) / 2]).astype(np.float32) * np.float32(6), 8)


def _one_value_each(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Sub-blocks float32[n, size] of zeros but for one value, each in turn at another place."""
    blocks = np.zeros((values.size, size), np.float32)
    places = np.arange(values.size)
    blocks[places, places % size] = np.where(places % 2, values, -values)
    return blocks


@ggml.needs_ggml
@pytest.mark.parametrize(
    ("name", "sub_block", "boundaries"), [("MXFP4", 32, _log2_boundaries), ("NVFP4", 16, _ue4m3_boundaries)]
)
def test_boundaries_of_scales_are_the_reference_s(
    name: str, sub_block: int, boundaries: Callable[[], NDArray[np.float32]]
) -> None:
    values = boundaries()
    block_type = BLOCK_TYPES[name]
    blocks = _one_value_each(values[: values.size - values.size % 4], sub_block).reshape(-1, block_type.block_size)
    theirs = ggml.quantize(block_type.facts.number, blocks)
    assert_same_blocks(block_type, blocks, quantized(block_type, blocks), theirs)


def test_mxfp4_stores_the_exponent_of_the_rounded_logarithm() -> None:
    values = _log2_boundaries()
    packed = quantized(BLOCK_TYPES["MXFP4"], _one_value_each(values, 32))
    assert packed[:, 0].tolist() == [fp4.exponent(value) for value in values]


def test_nvfp4_stores_the_nearest_small_float() -> None:
    values = _ue4m3_boundaries()
    values = values[: values.size - values.size % 4]
    packed = quantized(BLOCK_TYPES["NVFP4"], _one_value_each(values, 16).reshape(-1, 64))
    assert packed[:, :4].ravel().tolist() == [fp4.to_ue4m3(value / np.float32(6)) for value in values]


@ggml.needs_ggml
@pytest.mark.parametrize("name", ["MXFP4", "NVFP4"])
def test_middles_between_levels_are_the_reference_s(name: str) -> None:
    """Scales times numbers half way between two levels, and one step beside them."""
    block_type = BLOCK_TYPES[name]
    rng = np.random.default_rng(0)
    middles = np.array([0, 0.5, 1.5, 2.5, 3.5, 5, 7, 10, 12], np.float32)
    scales = np.ldexp(rng.integers(8, 16, 4096) / 8, rng.integers(-130, 124, 4096)).astype(np.float32)
    scales[::2] = np.ldexp(np.float32(1), rng.integers(-9, 7, 2048))
    blocks = rng.choice(middles, (4096, 64)) * scales[:, None]
    blocks[:, ::16] = 12 * scales[:, None]
    blocks = np.nextafter(blocks, rng.choice(np.array([-np.inf, 0, np.inf], np.float32), blocks.shape))
    blocks = np.where(rng.random(blocks.shape) < 0.5, -blocks, blocks).reshape(-1, block_type.block_size)
    theirs = ggml.quantize(block_type.facts.number, blocks)
    assert_same_blocks(block_type, blocks, quantized(block_type, blocks), theirs)
