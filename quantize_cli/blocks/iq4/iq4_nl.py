"""IQ4_NL: 4.5 bits per weight; x = d * VALUES[level], level 0..15 in a non-linear table.

A block of 32 weights, 18 bytes:

    0    d   float16
    2    qs  16 bytes: byte i holds level i (low 4 bits) and level i + 16 (high 4 bits)
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Grid, Groups, Heads, Importance, Levels, Packed
from quantize_cli.blocks.iq4.levels import SUB_BLOCK, VALUES, decode_nearest, nearest_levels, new_brackets, search_scale
from quantize_cli.blocks.search.inverses import inverse_unless_zero
from quantize_cli.blocks.search.weights import squares, sum_of_squares, weigh_importance
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import load_lanes, new_lanes
from quantize_cli.simd.vector import LANES, Ints, load_bytes, load_nibbles, store, store_bytes, store_nibbles

F = np.float32
QS = 2


@inner
def _store_block(block: Packed, d: np.uint16, levels: Ints) -> None:
    store_half(block, 0, d)
    store_nibbles(block, QS, levels)


@kernel
def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 32] into out, uint8[n, 18]."""
    x = new_lanes(SUB_BLOCK)
    w = new_lanes(SUB_BLOCK)
    brackets = new_brackets()
    scales = new_lanes(1)
    inverses = new_lanes(1)
    for first in range(0, blocks.shape[0], LANES):
        count = min(LANES, blocks.shape[0] - first)
        load_lanes(blocks, first, count, x)
        if importance is None:
            squares(x, w)
        else:
            load_lanes(importance, first, count, w)
            weigh_importance(x, w, sum_of_squares(x) * F(2 / SUB_BLOCK), w)
        scale = search_scale(x, w, brackets)
        store(scales, 0, scale)
        store(inverses, 0, inverse_unless_zero(scale))
        for lane in range(count):
            levels = nearest_levels(blocks[first + lane], 0, inverses[lane])
            _store_block(out[first + lane], to_half(scales[lane]), levels)


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 18] into out, float32[n, 32]."""
    for number in range(packed.shape[0]):
        block = packed[number]
        decode_nearest(block, QS, load_half(block, 0), out[number], 0)


@kernel
def read(packed: Packed, heads: Heads, scales: Groups, lows: Groups, levels: Levels) -> None:
    """Take blocks uint8[n, 18] apart, as `Grid.read` says."""
    for number in range(packed.shape[0]):
        block = packed[number]
        heads[number, 0], heads[number, 1] = load_half(block, 0), F(0)
        scales[number, 0], lows[number, 0] = F(1), F(0)
        store_bytes(levels[number], 0, load_nibbles(block, QS))


@kernel
def write(heads: Heads, _scales: Groups, _lows: Groups, levels: Levels, packed: Packed) -> None:
    """Put blocks uint8[n, 18] together, as `Grid.write` says."""
    for number in range(packed.shape[0]):
        _store_block(packed[number], to_half(heads[number, 0]), load_bytes(levels[number], 0))


_GRID = Grid(tuple(map(float, VALUES)), SUB_BLOCK, (1, 1), (0, 0), read, write)
IQ4_NL = BlockType("IQ4_NL", pack, unpack, grid=_GRID)
