"""Q5_1: 6 bits per weight; x = d * level + m, level 0..31.

A block of 32 weights, 24 bytes:

    0    d   float16; without importance (max - min) / 31
    2    m   float16; without importance min
    4    qh  32 bits: bit i is bit 4 of level i
    8    qs  16 bytes: byte i holds the low 4 bits of level i and, in its high half, of level i + 16
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.legacy.small_blocks import BLOCK, extent, levels_above, load_five_bits, store_five_bits
from quantize_cli.blocks.legacy.weighted import affine_levels, load_weighted, new_work, row_variances
from quantize_cli.blocks.search.affine import MIN, SCALE, AffineSearch, search_affine
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.vector import LANES, Ints, load, store, to_floats

F = np.float32
I = np.int32  # noqa: E741
BLOCK_BYTES = 24
M, LEVELS = 2, 4
TOP = 31
SEARCH = AffineSearch(size=BLOCK, top=F(TOP), first=F(-0.9), step=F(0.05), steps=37, absolute=False)


@inner
def _store_block(packed: Packed, number: int, d: np.float32, m: np.float32, levels: Ints) -> None:
    at = number * BLOCK_BYTES
    store_half(packed, at, to_half(d))
    store_half(packed, at + M, to_half(m))
    store_five_bits(packed, at + LEVELS, levels)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 32] -> out uint8[n, 24]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    if importance is None:
        for number in range(blocks.shape[0]):
            x = load(values, number * BLOCK)
            low, high = extent(x)
            d = (high - low) / F(TOP)
            _store_block(packed, number, d, low, levels_above(x, low, d, I(TOP)))
    else:
        work = new_work()
        variances = row_variances(blocks, importance.shape[0])
        for first in range(0, blocks.shape[0], LANES):
            count = load_weighted(blocks, importance, variances, first, work)
            search_affine(work.x, work.w, SEARCH, work.fit)
            for lane in range(count):
                x = load(values, (first + lane) * BLOCK)
                levels = affine_levels(x, work.fit, lane, I(TOP))
                _store_block(packed, first + lane, work.fit[SCALE + lane], work.fit[MIN + lane], levels)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 24] -> out float32[n, 32]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        levels = to_floats(load_five_bits(blocks, at + LEVELS))
        store(values, number * BLOCK, levels * load_half(blocks, at) + load_half(blocks, at + M))


Q5_1 = BlockType("Q5_1", pack, unpack)
