"""What the suites of this folder compare with."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import ggml, twins

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
    """Assert that the kernel gives the reference's bytes, but for two things.

    Where a row's sums overflow, one of the two may have no bytes: see `_assert_overflow`.
    Where the affine types' search with importance rounds numbers beyond 2^22, the wheel's build of the reference
    differs from the one that we follow: both are the twins', each with its own order of rounding and clamping.
    """
    answer = ggml.ask(block_type.facts.number, rows, importance)  # both work at the same time
    ours = theirs = None
    with suppress(OverflowError):
        ours = quantized(block_type, rows, importance)
    with suppress(ggml.AbortedError):
        theirs = answer()
    if ours is not None and theirs is not None:
        odd = (ours != theirs).any(axis=1)
        if odd.any() and importance is not None and twins.TWINS[block_type.name].encode_row_as_wheel is not None:
            as_wheel = twins.quantize(block_type.name, rows[odd], importance, as_wheel=True)
            assert_same_blocks(block_type, rows[odd], as_wheel, theirs[odd])
            theirs = theirs.copy()
            theirs[odd] = twins.quantize(block_type.name, rows[odd], importance)
        assert_same_blocks(block_type, rows, ours, theirs)
    elif len(rows) > 1:
        for row in rows:
            assert_reference_s_blocks(block_type, row[np.newaxis], importance)
    else:
        _assert_overflow(block_type, rows, importance, ours, theirs)


def _assert_overflow(
    block_type: BlockType,
    row: NDArray[np.float32],
    importance: NDArray[np.float32] | None,
    ours: NDArray[np.uint8] | None,
    theirs: NDArray[np.uint8] | None,
) -> None:
    """Assert what holds for a row float32[1, k] that ends the reference, or that we refuse: which of them is missing.

    In both cases the twin's sums overflow. IQ1 refuses each row that ends the reference, and those for which the
    reference reads beyond the row, as the twin does. Other types refuse nothing: where the reference ends they write
    something that does not depend on what was in the buffer before.
    """
    parts = row if importance is not None else row.reshape(-1, block_type.block_size)
    assert twins.overflows(block_type.name, parts, importance)
    if block_type.name.startswith("IQ1"):
        assert ours is None
        if theirs is not None:
            with pytest.raises(OverflowError):
                twins.quantize(block_type.name, parts, importance)
    else:
        assert theirs is None
        assert ours is not None
        clean = np.zeros_like(ours)
        block_type.quantize(row, clean, importance)
        assert_same_blocks(block_type, row, clean, ours)
