"""What Q4_K and Q5_K share: x = d * scale * level - dmin * min in 8 sub-blocks of 32, levels stored as nibbles."""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Grid, Groups, Heads, Importance, Levels, Packed
from quantize_cli.blocks.k.affine import Scheme, fit_super_blocks, new_work
from quantize_cli.blocks.k.six_bit_scales import (
    HEAD_BYTES,
    SCALE_BYTES,
    SUB_BLOCK,
    SUB_BLOCKS,
    TOP_SCALE,
    pack_scales,
    scale_and_min,
    store_head,
    sub_block_levels,
)
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.half import load_half, to_half
from quantize_cli.simd.lanes import load_lanes, new_lanes
from quantize_cli.simd.vector import LANES, Ints, load_bytes, splat_int, store, store_bytes, to_floats

F = np.float32
I = np.int32  # noqa: E741


def nibble_type(name: str, bits: int, scheme: Scheme) -> BlockType:
    """Make the type of that name, whose levels have 4 or 5 bits.

    Behind the head, 5 bits have `qh`, 32 bytes: bit j of byte l is the highest bit of element l of sub-block j. Then
    come 128 bytes, `qs`: byte 32 p + l holds the low 4 bits of element l of sub-blocks 2 p (low) and 2 p + 1 (high).
    """
    top = (1 << bits) - 1
    qh, qs = HEAD_BYTES, HEAD_BYTES + 32 * (bits - 4)

    @inner
    def store_levels(levels: Packed, block: Packed) -> None:
        """Write levels uint8[256]."""
        highest = splat_int(I(0))
        for j in range(0, SUB_BLOCKS, 2):
            even, odd = load_bytes(levels, j * SUB_BLOCK), load_bytes(levels, (j + 1) * SUB_BLOCK)
            store_bytes(block, qs + j // 2 * SUB_BLOCK, even & I(15) | odd << I(4))
            highest |= even >> I(4) << I(j) | odd >> I(4) << I(j + 1)
        if bits == 5:
            store_bytes(block, qh, highest)

    @inner
    def load_levels(block: Packed, j: int) -> Ints:
        """Read the levels of sub-block j."""
        levels = load_bytes(block, qs + j // 2 * SUB_BLOCK) >> I(j % 2 * 4) & I(15)
        if bits == 5:
            levels |= (load_bytes(block, qh) >> I(j) & I(1)) << I(4)
        return levels

    @kernel
    def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
        """Pack blocks float32[n, 256] into out, uint8[n, block_bytes]."""
        work = new_work(SUB_BLOCK)
        for first in range(0, blocks.shape[0], LANES):
            count = fit_super_blocks(blocks, importance, first, scheme, work)
            pack_scales(work.scale_levels, work.min_levels, work.packed)
            for lane in range(count):
                block, values = out[first + lane], blocks[first + lane]
                store_head(block, to_half(work.d[lane]), to_half(work.dmin[lane]), work.packed, lane)
                d, dmin = load_half(block, 0), load_half(block, 2)
                for j in range(SUB_BLOCKS):
                    scale, low = scale_and_min(block, j)
                    levels = sub_block_levels(values, j, d * scale, dmin * low, work, lane, I(top))
                    store_bytes(work.levels, j * SUB_BLOCK, levels)
                store_levels(work.levels, block)

    @kernel_and_part
    def unpack(packed: Packed, out: Blocks) -> None:
        """Unpack blocks uint8[n, block_bytes] into out, float32[n, 256]."""
        for number in range(packed.shape[0]):
            block, values = packed[number], out[number]
            d, dmin = load_half(block, 0), load_half(block, 2)
            for j in range(SUB_BLOCKS):
                scale, low = scale_and_min(block, j)
                store(values, j * SUB_BLOCK, d * scale * to_floats(load_levels(block, j)) - dmin * low)

    @kernel
    def read(packed: Packed, heads: Heads, scales: Groups, lows: Groups, levels: Levels) -> None:
        """Take blocks uint8[n, block_bytes] apart, as `Grid.read` says."""
        for number in range(packed.shape[0]):
            block, out = packed[number], levels[number]
            heads[number, 0], heads[number, 1] = load_half(block, 0), load_half(block, 2)
            for j in range(SUB_BLOCKS):
                scales[number, j], lows[number, j] = scale_and_min(block, j)
                store_bytes(out, j * SUB_BLOCK, load_levels(block, j))

    @kernel
    def write(heads: Heads, scales: Groups, lows: Groups, levels: Levels, packed: Packed) -> None:
        """Put blocks uint8[n, block_bytes] together, as `Grid.write` says."""
        stored, mins = new_lanes(SUB_BLOCKS), new_lanes(SUB_BLOCKS)
        bytes_of_scales = np.empty(SCALE_BYTES * LANES, np.uint8)
        for first in range(0, packed.shape[0], LANES):
            count = min(LANES, packed.shape[0] - first)
            load_lanes(scales, first, count, stored)
            load_lanes(lows, first, count, mins)
            pack_scales(stored, mins, bytes_of_scales)
            for lane in range(count):
                d, dmin = to_half(heads[first + lane, 0]), to_half(heads[first + lane, 1])
                store_head(packed[first + lane], d, dmin, bytes_of_scales, lane)
                store_levels(levels[first + lane], packed[first + lane])

    points, stored = tuple(map(float, range(top + 1))), (0, int(TOP_SCALE))
    return BlockType(name, pack, unpack, grid=Grid(points, SUB_BLOCK, stored, stored, read, write))
