"""What the suites of this folder compare with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from oracle import ggml

from quantize_cli.blocks.base import BlockType


def quantized(
    block_type: BlockType, rows: NDArray[np.float32], importance: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """The kernel's bytes for rows float32[n, k] and importance float32[k], from a buffer that was not clean."""
    packed = np.full((rows.shape[0], block_type.row_bytes(rows.shape[1])), 0xA5, np.uint8)
    block_type.quantize(rows, packed, importance)
    return packed


def dequantized(block_type: BlockType, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The kernel's values for packed uint8[n, row_bytes(k)], from a buffer that was not clean."""
    blocks = packed.shape[1] // block_type.block_bytes
    rows = np.full((packed.shape[0], blocks * block_type.block_size), 12345.0, np.float32)
    block_type.dequantize(packed, rows)
    return rows


def assert_same_blocks(
    block_type: BlockType, rows: NDArray[np.float32], ours: NDArray[np.uint8], theirs: NDArray[np.uint8]
) -> None:
    """Assert equal bytes; on a difference, say how to repeat it with a single block."""
    assert ours.shape == theirs.shape
    differ = (ours != theirs).reshape(-1, block_type.block_bytes).any(axis=1)
    if not differ.any():
        return
    first = int(differ.argmax())
    values = rows.reshape(-1, block_type.block_size)[first]
    raise AssertionError(
        f"{block_type.name}: {differ.sum()} of {differ.size} blocks differ, first block {first}:\n"
        f"ours   {ours.reshape(differ.size, -1)[first].tobytes().hex()}\n"
        f"theirs {theirs.reshape(differ.size, -1)[first].tobytes().hex()}\n"
        f"input, little-endian float32: {values.astype('<f4').tobytes().hex()}"
    )


def assert_reference_s_blocks(
    block_type: BlockType,
    rows: NDArray[np.float32],
    importance: NDArray[np.float32] | None = None,
) -> None:
    """Assert that the kernel gives the reference's bytes.

    Where errors overflow the reference may end its process, and there are no bytes: IQ1 refuses such rows, the other
    types write something, which must not depend on what was in the buffer before.
    """
    answer = ggml.ask(block_type.facts.number, rows, importance)  # both work at the same time
    try:
        ours = quantized(block_type, rows, importance)
    except OverflowError:
        ours = None
    try:
        theirs = answer()
    except ggml.AbortedError:
        assert (ours is None) == block_type.name.startswith("IQ1"), "IQ1 alone refuses what ends the reference"
        if ours is not None:
            clean = np.zeros_like(ours)
            block_type.quantize(rows, clean, importance)
            assert_same_blocks(block_type, rows, clean, ours)
    else:
        assert ours is not None, f"{block_type.name} refuses what the reference quantizes"
        assert_same_blocks(block_type, rows, ours, theirs)
