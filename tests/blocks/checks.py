"""What the suites of this folder compare with."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import ggml

from quantize_cli.blocks.base import BlockType


def quantized(
    block_format: BlockType, rows: NDArray[np.float32], importance: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """The kernel's bytes for rows float32[n, k] and importance float32[k], from a buffer that was not clean."""
    packed = np.full((rows.shape[0], block_format.row_bytes(rows.shape[1])), 0xA5, np.uint8)
    block_format.quantize(rows, packed, importance)
    return packed


def dequantized(block_format: BlockType, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The kernel's values for packed uint8[n, row_bytes(k)], from a buffer that was not clean."""
    blocks = packed.shape[1] // block_format.block_bytes
    rows = np.full((packed.shape[0], blocks * block_format.block_size), 12345.0, np.float32)
    block_format.dequantize(packed, rows)
    return rows


def assert_same_blocks(
    block_format: BlockType, rows: NDArray[np.float32], ours: NDArray[np.uint8], theirs: NDArray[np.uint8]
) -> None:
    """Assert equal bytes; on a difference, say how to repeat it with a single block."""
    assert ours.shape == theirs.shape
    differ = (ours != theirs).reshape(-1, block_format.block_bytes).any(axis=1)
    if not differ.any():
        return
    first = int(differ.argmax())
    values = rows.reshape(-1, block_format.block_size)[first]
    raise AssertionError(
        f"{block_format.name}: {differ.sum()} of {differ.size} blocks differ, first block {first}:\n"
        f"ours   {ours.reshape(differ.size, -1)[first].tobytes().hex()}\n"
        f"theirs {theirs.reshape(differ.size, -1)[first].tobytes().hex()}\n"
        f"input, little-endian float32: {values.astype('<f4').tobytes().hex()}"
    )


def assert_reference_s_blocks(
    block_format: BlockType,
    rows: NDArray[np.float32],
    importance: NDArray[np.float32] | None = None,
) -> None:
    """Assert that the kernel gives the reference's bytes.

    Where errors overflow the reference may end its process, and there are no bytes: IQ1 refuses such rows, the other
    formats write something, which must not depend on what was in the buffer before.
    """
    try:
        theirs = ggml.quantize(block_format.type, rows, importance)
    except ggml.AbortedError:
        if block_format.name.startswith("IQ1"):
            with pytest.raises(OverflowError):
                quantized(block_format, rows, importance)
        else:
            packed = np.zeros((rows.shape[0], block_format.row_bytes(rows.shape[1])), np.uint8)
            block_format.quantize(rows, packed, importance)
            assert_same_blocks(block_format, rows, packed, quantized(block_format, rows, importance))
    else:
        assert_same_blocks(block_format, rows, quantized(block_format, rows, importance), theirs)
