"""IQ2_S: 2.5625 bits per weight; x = d * (2 * scale + 1) / 8 * sign * value, value 8, 25 or 43.

A super-block of 256 weights, 16 sub-blocks of 16, 82 bytes:

    0    d      float16, scale of the scales
    2    qs     32 bytes, one for a group of 8: the low 8 bits of the number of its pattern in the grid
    34   signs  32 bytes, one for a group: a bit for each minus sign
    66   qh     8 bytes: byte j holds the high 2 bits of the numbers of groups 4j to 4j + 3, lowest first
    74   scales 8 bytes: byte j holds those of sub-block 2j (low 4 bits) and of 2j + 1
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.iq2.fit import GROUPS, Search, fit_super_blocks, new_work
from quantize_cli.blocks.iq2.grid import Iq2Grid, iq2_grid
from quantize_cli.blocks.iq2.packing import load_scales, store_scales, store_values
from quantize_cli.simd.compile import kernel
from quantize_cli.simd.half import store_half, to_half
from quantize_cli.simd.vector import LANES

F = np.float32
QS, SIGNS, QH, SCALES = 2, 34, 66, 74
SEARCH = Search(size=16, reach=9, positive=False, parity=False, variance=F(2), epsilon=F(1e-8))
#: d is stored a little smaller than the scales ask for.
SHRINK = F(0.9875)


@kernel
def _pack(blocks: Blocks, importance: Importance | None, grid: Iq2Grid, out: Packed) -> None:
    work = new_work(SEARCH)
    for first in range(0, blocks.shape[0], LANES):
        for lane in range(fit_super_blocks(blocks, importance, first, grid, SEARCH, work)):
            block = out[first + lane]
            store_half(block, 0, to_half(work.d[lane] * SHRINK))
            block[QH:] = 0
            for k in range(GROUPS):
                at = k * LANES + lane
                place = grid.places[work.chosen[at]]
                block[QS + k] = np.uint8(place & 255)
                block[SIGNS + k] = np.uint8(work.signs[at])
                block[QH + k // 4] |= np.uint8(place >> 8 << 2 * (k % 4))
            if work.d[lane] != F(0):
                store_scales(work, lane, block, SCALES)


@kernel
def _unpack(packed: Packed, grid: Iq2Grid, out: Blocks) -> None:
    for number in range(packed.shape[0]):
        block = packed[number]
        for j in range(8):
            patterns = signs = 0
            for k in range(4):
                at = 4 * j + k
                place = int(block[QS + at]) | (int(block[QH + j]) >> 2 * k & 3) << 8
                patterns |= int(grid.patterns[place]) << 16 * k
                signs |= int(block[SIGNS + at]) << 8 * k
            store_values(out[number], 32 * j, patterns, signs, load_scales(block, SCALES + j))


def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 82]."""
    _pack(blocks, importance, iq2_grid("IQ2_S"), out)


def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 82] into out, float32[n, 256]."""
    _unpack(packed, iq2_grid("IQ2_S"), out)


IQ2_S = BlockType("IQ2_S", pack, unpack)
