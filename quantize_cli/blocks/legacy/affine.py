"""What Q4_1 and Q5_1 share: a block has a scale d and a minimum m.

Method: ggml-quants.c, `quantize_row_q4_1_ref`, `quantize_row_q4_1_impl` and those of q5_1.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Grid, Groups, Heads, Importance, Levels, Packed
from quantize_cli.blocks.legacy.levels import BLOCK, finite_inverses, levels_above, load_levels, store_levels
from quantize_cli.blocks.legacy.weighted import affine_levels, load_weighted, new_work, row_variances
from quantize_cli.blocks.search.affine import MIN, SCALE, AffineSearch, search_affine
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.extremes import extent
from quantize_cli.simd.half import load_half, store_half, to_half, to_halves
from quantize_cli.simd.lanes import Lanes, new_lanes
from quantize_cli.simd.vector import LANES, Ints, load, load_bytes, store, store_bytes, to_floats

F = np.float32
I = np.int32  # noqa: E741
M, LEVELS = 2, 4

#: What `_find_heads` finds, a vector each: the bits of d and m as float16, m, and 1 / d or 0.
_D, _M, _LOW, _INVERSE = (row * LANES for row in range(4))
_HEADS = 4


@inner
def _find_heads(values: Lanes, start: int, count: int, top: np.float32, heads: Lanes) -> None:
    """Find the heads of `count` <= LANES blocks, from values[start] on, without importance.

    Divisions and float16 take a fraction of the time where they are done for all blocks at once.
    """
    for lane in range(count):
        heads[_LOW + lane], heads[_D + lane] = extent(load(values, start + lane * BLOCK))
    low = load(heads, _LOW)
    d = (load(heads, _D) - low) / top
    store(heads, _D, to_floats(to_halves(d)))
    store(heads, _M, to_floats(to_halves(low)))
    store(heads, _INVERSE, finite_inverses(d))


@inner
def _store_block(packed: Packed, at: int, d: np.uint16, m: np.uint16, levels: Ints, bits: int) -> None:
    store_half(packed, at, d)
    store_half(packed, at + M, m)
    store_levels(packed, at + LEVELS, levels, bits)


def affine_type(name: str, bits: int) -> BlockType:
    """Make the type of that name, whose levels have 4 or 5 bits."""
    block_bytes = GGML_TYPES[name].block_bytes
    top = (1 << bits) - 1
    search = AffineSearch(size=BLOCK, top=F(top), first=F(-0.9), step=F(0.05), steps=37, absolute=False)

    @kernel
    def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
        """Pack blocks float32[n, 32] into out, uint8[n, block_bytes]."""
        values, packed = blocks.reshape(-1), out.reshape(-1)
        if importance is None:
            heads = new_lanes(_HEADS)
            for first in range(0, blocks.shape[0], LANES):
                count = min(LANES, blocks.shape[0] - first)
                _find_heads(values, first * BLOCK, count, F(top), heads)
                for lane in range(count):
                    at, x = (first + lane) * block_bytes, load(values, (first + lane) * BLOCK)
                    levels = levels_above(x, heads[_LOW + lane], heads[_INVERSE + lane], I(top))
                    d, m = np.uint16(heads[_D + lane]), np.uint16(heads[_M + lane])
                    _store_block(packed, at, d, m, levels, bits)
        else:
            work = new_work()
            variances = row_variances(blocks, importance.shape[0])
            for first in range(0, blocks.shape[0], LANES):
                count = load_weighted(blocks, importance, variances, first, work)
                search_affine(work.x, work.w, search, work.fit)
                for lane in range(count):
                    at, x = (first + lane) * block_bytes, load(values, (first + lane) * BLOCK)
                    d, m = to_half(work.fit[SCALE + lane]), to_half(work.fit[MIN + lane])
                    _store_block(packed, at, d, m, affine_levels(x, work.fit, lane, I(top)), bits)

    @kernel_and_part
    def unpack(packed: Packed, out: Blocks) -> None:
        """Unpack blocks uint8[n, block_bytes] into out, float32[n, 32]."""
        blocks, values = packed.reshape(-1), out.reshape(-1)
        for number in range(packed.shape[0]):
            at = number * block_bytes
            levels = to_floats(load_levels(blocks, at + LEVELS, bits))
            store(values, number * BLOCK, levels * load_half(blocks, at) + load_half(blocks, at + M))

    @kernel
    def read(packed: Packed, heads: Heads, scales: Groups, lows: Groups, levels: Levels) -> None:
        """Take blocks uint8[n, block_bytes] apart, as `Grid.read` says; m is added as it is."""
        blocks, out = packed.reshape(-1), levels.reshape(-1)
        for number in range(packed.shape[0]):
            at = number * block_bytes
            heads[number, 0], heads[number, 1] = load_half(blocks, at), load_half(blocks, at + M)
            scales[number, 0], lows[number, 0] = F(1), F(-1)
            store_bytes(out, number * BLOCK, load_levels(blocks, at + LEVELS, bits))

    @kernel
    def write(heads: Heads, _scales: Groups, _lows: Groups, levels: Levels, packed: Packed) -> None:
        """Put blocks uint8[n, block_bytes] together, as `Grid.write` says."""
        values, out = levels.reshape(-1), packed.reshape(-1)
        for number in range(packed.shape[0]):
            d, m, at = to_half(heads[number, 0]), to_half(heads[number, 1]), number * block_bytes
            _store_block(out, at, d, m, load_bytes(values, number * BLOCK), bits)

    points = tuple(map(float, range(top + 1)))
    return BlockType(name, pack, unpack, grid=Grid(points, BLOCK, (1, 1), (-1, -1), read, write))
