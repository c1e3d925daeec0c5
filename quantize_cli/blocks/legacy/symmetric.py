"""What Q4_0 and Q5_0 share: a block has one scale d, and the lowest level is the value of the largest magnitude.

Method: ggml-quants.c, `quantize_row_q4_0_ref`, `quantize_row_q4_0_impl` and those of q5_0.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.legacy.levels import BLOCK, levels_around, load_levels, store_levels
from quantize_cli.blocks.legacy.weighted import load_weighted, new_work, row_variances
from quantize_cli.blocks.search.symmetric import INVERSE, SCALE, search_symmetric, searched_levels
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.extremes import extreme_of
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.vector import LANES, Ints, load, splat, store, to_floats

F = np.float32
I = np.int32  # noqa: E741
LEVELS = 2


@inner
def _store_block(packed: Packed, at: int, d: np.float32, levels: Ints, bits: int) -> None:
    store_half(packed, at, to_half(d))
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
            for number in range(blocks.shape[0]):
                x = load(values, number * BLOCK)
                d = extreme_of(x) / F(-zero)
                _store_block(packed, number * block_bytes, d, levels_around(x, d, I(zero)), bits)
        else:
            work = new_work()
            variances = row_variances(blocks, importance.shape[0])
            for first in range(0, blocks.shape[0], LANES):
                count = load_weighted(blocks, importance, variances, first, work)
                search_symmetric(work.x, work.w, F(-zero), work.fit)
                for lane in range(count):
                    x = load(values, (first + lane) * BLOCK)
                    levels = searched_levels(x, splat(work.fit[INVERSE + lane]), I(-zero))
                    _store_block(packed, (first + lane) * block_bytes, work.fit[SCALE + lane], levels, bits)

    @kernel
    def unpack(packed: Packed, out: Blocks) -> None:
        """Unpack blocks uint8[n, block_bytes] into out, float32[n, 32]."""
        blocks, values = packed.reshape(-1), out.reshape(-1)
        for number in range(packed.shape[0]):
            at = number * block_bytes
            levels = load_levels(blocks, at + LEVELS, bits) - I(zero)
            store(values, number * BLOCK, to_floats(levels) * load_half(blocks, at))

    return BlockType(name, pack, unpack)
