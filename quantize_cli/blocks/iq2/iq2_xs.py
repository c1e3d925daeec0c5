"""IQ2_XS: 2.3125 bits per weight; x = d * (2 * scale + 1) / 8 * sign * value, value 8, 25 or 43.

A super-block of 256 weights, 16 sub-blocks of 16, 74 bytes:

    0    d      float16, scale of the scales
    2    qs     32 little-endian uint16, one for a group of 8: the number of its pattern in the grid (low 9 bits) and 7
                minus signs, whose eighth makes their number even
    66   scales 8 bytes: byte j holds those of sub-block 2j (low 4 bits) and of 2j + 1
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.grids.signs import eight_signs
from quantize_cli.blocks.iq2.fit import GROUPS, Search, fit_super_blocks, new_work
from quantize_cli.blocks.iq2.grid import Iq2Grid, iq2_grid
from quantize_cli.blocks.iq2.packing import load_scales, store_scales, store_values
from quantize_cli.blocks.search.positive import GROUP_MAX_EPS
from quantize_cli.simd.compile import kernel
from quantize_cli.simd.half import store_half, to_half
from quantize_cli.simd.vector import LANES

F = np.float32
QS, SCALES = 2, 66
SEARCH = Search(size=16, reach=9, positive=False, parity=True, variance=F(1), epsilon=GROUP_MAX_EPS)


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
            for k in range(GROUPS):
                at = k * LANES + lane
                bits = grid.places[work.chosen[at]] | work.signs[at] << 9
                block[QS + 2 * k] = np.uint8(bits & 255)
                block[QS + 2 * k + 1] = np.uint8(bits >> 8)
            store_scales(work, lane, block, SCALES)


@kernel
def _unpack(packed: Packed, grid: Iq2Grid, out: Blocks) -> None:
    for number in range(packed.shape[0]):
        block = packed[number]
        for j in range(8):
            patterns = signs = 0
            for k in range(4):
                at = QS + 8 * j + 2 * k
                word = int(block[at]) | int(block[at + 1]) << 8
                patterns |= int(grid.patterns[word & 511]) << 16 * k
                signs |= eight_signs(word >> 9) << 8 * k
            store_values(out[number], 32 * j, patterns, signs, load_scales(block, SCALES + j))


def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 74]."""
    assert importance is not None
    _pack(blocks, importance, iq2_grid("IQ2_XS"), out)


def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 74] into out, float32[n, 256]."""
    _unpack(packed, iq2_grid("IQ2_XS"), out)


IQ2_XS = BlockType("IQ2_XS", pack, unpack)
