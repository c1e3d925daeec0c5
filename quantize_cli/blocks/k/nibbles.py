"""What Q4_K and Q5_K share: x = d * scale * level - dmin * min in 8 sub-blocks of 32, levels stored as nibbles."""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.k.affine import Scheme, fit_super_blocks, new_work
from quantize_cli.blocks.k.six_bit_scales import (
    HEAD_BYTES,
    SUB_BLOCK,
    SUB_BLOCKS,
    encode_head,
    pack_scales,
    scale_and_min,
    sub_block_levels,
)
from quantize_cli.simd.compile import kernel, kernel_and_part
from quantize_cli.simd.half import load_half
from quantize_cli.simd.vector import LANES, load_bytes, splat_int, store, store_bytes, to_floats

F = np.float32
I = np.int32  # noqa: E741


def nibble_type(name: str, bits: int, scheme: Scheme) -> BlockType:
    """Make the type of that name, whose levels have 4 or 5 bits.

    Behind the head, 5 bits have `qh`, 32 bytes: bit j of byte l is the highest bit of element l of sub-block j. Then
    come 128 bytes, `qs`: byte 32 p + l holds the low 4 bits of element l of sub-blocks 2 p (low) and 2 p + 1 (high).
    """
    top = (1 << bits) - 1
    qh, qs = HEAD_BYTES, HEAD_BYTES + 32 * (bits - 4)

    @kernel
    def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
        """Pack blocks float32[n, 256] into out, uint8[n, block_bytes]."""
        work = new_work(SUB_BLOCK)
        for first in range(0, blocks.shape[0], LANES):
            count = fit_super_blocks(blocks, importance, first, scheme, work)
            pack_scales(work)
            for lane in range(count):
                block, values = out[first + lane], blocks[first + lane]
                encode_head(work, lane, block)
                d, dmin = load_half(block, 0), load_half(block, 2)
                nibbles = highest = splat_int(I(0))
                for j in range(SUB_BLOCKS):
                    scale, low = scale_and_min(block, j)
                    levels = sub_block_levels(values, j, d * scale, dmin * low, work, lane, I(top))
                    highest |= levels >> I(4) << I(j)
                    if j % 2 == 0:
                        nibbles = levels & I(15)
                    else:
                        store_bytes(block, qs + j // 2 * SUB_BLOCK, nibbles | levels << I(4))
                if bits == 5:
                    store_bytes(block, qh, highest)

    @kernel_and_part
    def unpack(packed: Packed, out: Blocks) -> None:
        """Unpack blocks uint8[n, block_bytes] into out, float32[n, 256]."""
        for number in range(packed.shape[0]):
            block, values = packed[number], out[number]
            d, dmin = load_half(block, 0), load_half(block, 2)
            highest = load_bytes(block, qh)
            for j in range(SUB_BLOCKS):
                scale, low = scale_and_min(block, j)
                levels = load_bytes(block, qs + j // 2 * SUB_BLOCK) >> I(j % 2 * 4) & I(15)
                if bits == 5:
                    levels |= (highest >> I(j) & I(1)) << I(4)
                store(values, j * SUB_BLOCK, d * scale * to_floats(levels) - dmin * low)

    return BlockType(name, pack, unpack)
