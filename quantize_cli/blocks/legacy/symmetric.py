"""What Q4_0 and Q5_0 share: a block has one scale d, and the lowest level is the value of the largest magnitude.

Method: ggml-quants.c, `quantize_row_q4_0_ref`, `quantize_row_q4_0_impl` and those of q5_0.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Grid, Groups, Heads, Importance, Levels, Packed
from quantize_cli.blocks.legacy.levels import BLOCK, finite_inverses, levels_around, load_levels, store_levels
from quantize_cli.blocks.legacy.weighted import load_weighted, new_work, row_variances
from quantize_cli.blocks.search.symmetric import INVERSE, SCALE, search_symmetric, searched_levels
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.extremes import extreme_of
from quantize_cli.simd.half import load_half, store_half, to_half, to_halves
from quantize_cli.simd.lanes import Lanes, new_lanes
from quantize_cli.simd.vector import LANES, Ints, load, load_bytes, select, splat, store, store_bytes, to_floats

F = np.float32
I = np.int32  # noqa: E741
LEVELS = 2

#: What `_find_heads` finds, a vector each: the bits of d as float16, 1 / d or 0, and what is added before x / d is
#: truncated.
_D, _INVERSE, _SHIFT = 0 * LANES, 1 * LANES, 2 * LANES
_HEADS = 3


@inner
def _find_heads(values: Lanes, start: int, count: int, zero: np.float32, heads: Lanes) -> None:
    """Find the heads of `count` <= LANES blocks, from values[start] on, without importance.

    Divisions and float16 take a fraction of the time where they are done for all blocks at once.
    """
    for lane in range(count):
        heads[_D + lane] = extreme_of(load(values, start + lane * BLOCK))
    d = load(heads, _D) / -zero
    inverse = finite_inverses(d)
    store(heads, _D, to_floats(to_halves(d)))
    store(heads, _INVERSE, inverse)
    # All levels are 0 where 1 / d is infinite.
    store(heads, _SHIFT, select((d != F(0)) & (inverse == F(0)), F(0), splat(zero + F(0.5))))


@inner
def _store_block(packed: Packed, at: int, d: np.uint16, levels: Ints, bits: int) -> None:
    store_half(packed, at, d)
    store_levels(packed, at + LEVELS, levels, bits)


def symmetric_type(name: str, bits: int) -> BlockType:
    """Make the type of that name, whose levels have 4 or 5 bits."""
    block_bytes = GGML_TYPES[name].block_bytes
    zero = 1 << bits - 1  # the level that stands for 0

    @kernel
    def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
        """Pack blocks float32[n, 32] into out, uint8[n, block_bytes]."""
        values, packed = blocks.reshape(-1), out.reshape(-1)
        if importance is None:
            heads = new_lanes(_HEADS)
            for first in range(0, blocks.shape[0], LANES):
                count = min(LANES, blocks.shape[0] - first)
                _find_heads(values, first * BLOCK, count, F(zero), heads)
                for lane in range(count):
                    at, x = (first + lane) * block_bytes, load(values, (first + lane) * BLOCK)
                    levels = levels_around(x, heads[_INVERSE + lane], heads[_SHIFT + lane], I(zero))
                    _store_block(packed, at, np.uint16(heads[_D + lane]), levels, bits)
        else:
            work = new_work()
            variances = row_variances(blocks, importance.shape[0])
            for first in range(0, blocks.shape[0], LANES):
                count = load_weighted(blocks, importance, variances, first, work)
                search_symmetric(work.x, work.w, F(-zero), work.fit)
                for lane in range(count):
                    x = load(values, (first + lane) * BLOCK)
                    levels = searched_levels(x, splat(work.fit[INVERSE + lane]), I(-zero))
                    _store_block(packed, (first + lane) * block_bytes, to_half(work.fit[SCALE + lane]), levels, bits)

    @kernel_and_part
    def unpack(packed: Packed, out: Blocks) -> None:
        """Unpack blocks uint8[n, block_bytes] into out, float32[n, 32]."""
        blocks, values = packed.reshape(-1), out.reshape(-1)
        for number in range(packed.shape[0]):
            at = number * block_bytes
            levels = load_levels(blocks, at + LEVELS, bits) - I(zero)
            store(values, number * BLOCK, to_floats(levels) * load_half(blocks, at))

    @kernel
    def read(packed: Packed, heads: Heads, scales: Groups, lows: Groups, levels: Levels) -> None:
        """Take blocks uint8[n, block_bytes] apart, as `Grid.read` says."""
        blocks, out = packed.reshape(-1), levels.reshape(-1)
        for number in range(packed.shape[0]):
            at = number * block_bytes
            heads[number, 0], heads[number, 1] = load_half(blocks, at), F(0)
            scales[number, 0], lows[number, 0] = F(1), F(0)
            store_bytes(out, number * BLOCK, load_levels(blocks, at + LEVELS, bits))

    @kernel
    def write(heads: Heads, _scales: Groups, _lows: Groups, levels: Levels, packed: Packed) -> None:
        """Put blocks uint8[n, block_bytes] together, as `Grid.write` says."""
        values, out = levels.reshape(-1), packed.reshape(-1)
        for number in range(packed.shape[0]):
            d, at = to_half(heads[number, 0]), number * block_bytes
            _store_block(out, at, d, load_bytes(values, number * BLOCK), bits)

    points = tuple(map(float, range(-zero, zero)))
    return BlockType(name, pack, unpack, grid=Grid(points, BLOCK, (1, 1), (0, 0), read, write))
