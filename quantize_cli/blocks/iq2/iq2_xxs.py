"""IQ2_XXS: 2.0625 bits per weight; x = d * (2 * scale + 1) / 8 * sign * value, value 8, 25 or 43.

A super-block of 256 weights, 8 sub-blocks of 32, 66 bytes:

    0    d      float16, scale of the scales
    2    qs     64 bytes, 8 for a sub-block: the numbers of its four groups' patterns in the grid, then 32 bits,
                lowest first: 7 minus signs of each group, whose eighth makes their number even, and 4 bits of scale
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.grids.signs import eight_signs
from quantize_cli.blocks.iq2.fit import Search, fit_super_blocks, new_work
from quantize_cli.blocks.iq2.grid import Iq2Grid, iq2_grid
from quantize_cli.blocks.iq2.packing import store_values
from quantize_cli.blocks.search.positive import GROUP_MAX_EPS
from quantize_cli.simd.compile import kernel
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.vector import LANES

F = np.float32
QS = 2
SEARCH = Search(size=32, reach=6, positive=True, parity=True, variance=F(1), epsilon=GROUP_MAX_EPS)


@kernel
def _pack(blocks: Blocks, importance: Importance, grid: Iq2Grid, out: Packed) -> None:
    work = new_work(SEARCH)
    for first in range(0, blocks.shape[0], LANES):
        for lane in range(fit_super_blocks(blocks, importance, first, grid, SEARCH, work)):
            block = out[first + lane]
            store_half(block, 0, to_half(work.d[lane]))
            block[QS:] = 0
            if work.d[lane] == F(0):
                continue
            for j in range(8):
                bits = work.stored[j * LANES + lane] << 28
                for k in range(4):
                    at = (4 * j + k) * LANES + lane
                    block[QS + 8 * j + k] = np.uint8(grid.places[work.chosen[at]])
                    bits |= work.signs[at] << 7 * k
                for k in range(4):
                    block[QS + 8 * j + 4 + k] = np.uint8(bits >> 8 * k & 255)


@kernel
def _unpack(packed: Packed, grid: Iq2Grid, out: Blocks) -> None:
    for number in range(packed.shape[0]):
        block = packed[number]
        d = load_half(block, 0)
        for j in range(8):
            at = QS + 8 * j
            patterns = bits = signs = 0
            for k in range(4):
                patterns |= int(grid.patterns[block[at + k]]) << 16 * k
                bits |= int(block[at + 4 + k]) << 8 * k
            for k in range(4):
                signs |= eight_signs(bits >> 7 * k & 127) << 8 * k
            scale = d * (F(0.5) + F(bits >> 28)) * F(0.25)
            store_values(out[number], 32 * j, patterns, signs, (scale, scale))


def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 66]."""
    assert importance is not None
    _pack(blocks, importance, iq2_grid("IQ2_XXS"), out)


def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 66] into out, float32[n, 256]."""
    _unpack(packed, iq2_grid("IQ2_XXS"), out)


IQ2_XXS = BlockType("IQ2_XXS", pack, unpack)
