"""Q8_0: 8.5 bits per weight; x = d * level, level -127..127.

A block of 32 weights, 34 bytes:

    0    d   float16
    2    qs  32 int8
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.search.inverses import finite_inverse
from quantize_cli.simd.compile import kernel, kernel_and_part
from quantize_cli.simd.extremes import largest_of, magnitudes
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.rounding import rounded_away
from quantize_cli.simd.vector import load, load_bytes, store, store_bytes, to_floats

F = np.float32
I = np.int32  # noqa: E741
BLOCK = 32
BLOCK_BYTES = 34
QS = 2


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 32] into out, uint8[n, 34]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    for number in range(blocks.shape[0]):
        x, at = load(values, number * BLOCK), number * BLOCK_BYTES
        d = largest_of(magnitudes(x)) / F(127)
        store_half(packed, at, to_half(d))
        store_bytes(packed, at + QS, rounded_away(x * finite_inverse(d)))


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 34] into out, float32[n, 32]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        levels = (load_bytes(blocks, at + QS) ^ I(128)) - I(128)
        store(values, number * BLOCK, to_floats(levels) * load_half(blocks, at))


Q8_0 = BlockType("Q8_0", pack, unpack)
