"""Q4_0: 4.5 bits per weight; x = d * (level - 8), level 0..15.

A block of 32 weights, 18 bytes:

    0    d   float16; without importance the value of the largest magnitude over -8
    2    qs  16 bytes: byte i holds level i (low 4 bits) and level i + 16 (high 4 bits)
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.legacy.small_blocks import BLOCK, extreme_of, levels_around
from quantize_cli.blocks.legacy.weighted import load_weighted, new_work, row_variances
from quantize_cli.blocks.search.symmetric import INVERSE, SCALE, search_symmetric, searched_levels
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.vector import LANES, Ints, load, load_nibbles, splat, store, store_nibbles, to_floats

F = np.float32
I = np.int32  # noqa: E741
BLOCK_BYTES = 18
QS = 2
ZERO = 8  #: the level that stands for 0


@inner
def _store_block(packed: Packed, number: int, d: np.float32, levels: Ints) -> None:
    at = number * BLOCK_BYTES
    store_half(packed, at, to_half(d))
    store_nibbles(packed, at + QS, levels)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Blocks float32[n, 32] -> out uint8[n, 18]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    if importance is None:
        for number in range(blocks.shape[0]):
            x = load(values, number * BLOCK)
            d = extreme_of(x) / F(-ZERO)
            _store_block(packed, number, d, levels_around(x, d, I(ZERO)))
    else:
        work = new_work()
        variances = row_variances(blocks, importance.shape[0])
        for first in range(0, blocks.shape[0], LANES):
            count = load_weighted(blocks, importance, variances, first, work)
            search_symmetric(work.x, work.w, BLOCK, F(-ZERO), work.fit)
            for lane in range(count):
                x = load(values, (first + lane) * BLOCK)
                levels = searched_levels(x, splat(work.fit[INVERSE + lane]), I(-ZERO))
                _store_block(packed, first + lane, work.fit[SCALE + lane], levels)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 18] -> out float32[n, 32]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        levels = load_nibbles(blocks, at + QS) - I(ZERO)
        store(values, number * BLOCK, to_floats(levels) * load_half(blocks, at))


Q4_0 = BlockType("Q4_0", pack, unpack)
