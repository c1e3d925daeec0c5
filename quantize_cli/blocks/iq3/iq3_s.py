"""IQ3_S: 3.4375 bits per weight; x = sign * d * (2 * scale + 1) * q, four q at a time a point of a grid of 512.

A super-block of 256 weights, 8 sub-blocks of 32, 110 bytes:

    0    d       float16
    2    qs      64 bytes: low 8 bits of the numbers of 64 points, of four weights each
    66   qh      8 bytes: bit k of byte j is the ninth bit of point 8 j + k
    74   signs   32 bytes: bit i of byte k is set where weight 8 k + i is negative
    106  scales  4 bytes: scale 0..15 of sub-block 2 p in the low and of 2 p + 1 in the high half of byte p

A sub-block of zeros alone is left out of `qs` and `signs`, and the ones behind it move up, though nothing that decodes
knows of that: the reference does so, and its bytes are ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.iq3.fit import (
    CODES,
    GROUPS,
    NO_CODE,
    SCALES,
    SIGNS,
    SUB_BLOCKS,
    Search,
    fit_points,
    new_work,
    point_number,
    scale_level,
    weigh,
)
from quantize_cli.blocks.iq3.grid import Table, iq3_grid
from quantize_cli.simd.compile import kernel
from quantize_cli.simd.half import load_half, store_half, to_half

F = np.float32
QS, QH, SIGNS_AT, SCALES_AT = 2, 66, 74, 106
SEARCH = Search(reach=9, least=F(0), whole=True)


@kernel
def _pack(blocks: Blocks, importance: Importance | None, out: Packed, grid: Table) -> None:
    floats, ints = new_work()
    for number in range(blocks.shape[0]):
        block = out[number]
        weigh(blocks[number], importance, number, floats, ints)
        highest = fit_points(SEARCH, grid, floats, ints)
        d = highest / F(31)
        store_half(block, 0, to_half(d * F(1.033)))
        block[QS:] = 0
        written = 0
        for j in range(SUB_BLOCKS):
            if ints[CODES + 8 * j] == NO_CODE:
                continue
            for k in range(8):
                point = point_number(ints[CODES + 8 * j + k], grid)
                block[QS + 8 * written + k] = point & 255
                block[QH + j] |= point >> 8 << k
            for k in range(4):
                block[SIGNS_AT + 4 * written + k] = ints[SIGNS + 4 * j + k]
            written += 1
        for p in range(SUB_BLOCKS // 2):
            low = scale_level(floats[SCALES + 2 * p], F(1) / d)
            high = scale_level(floats[SCALES + 2 * p + 1], F(1) / d)
            block[SCALES_AT + p] = 0 if highest == F(0) else low | high << 4


@kernel
def _unpack(packed: Packed, out: Blocks, points: NDArray[np.float32]) -> None:
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        for g in range(GROUPS):
            scale = d * F(1 + 2 * (block[SCALES_AT + g // 16] >> 4 * (g // 8 % 2) & 15))
            point = int(block[QS + g]) | (int(block[QH + g // 8]) >> g % 8 & 1) << 8
            signs = block[SIGNS_AT + g // 2] >> 4 * (g % 2)
            for i in range(4):
                value = scale * points[4 * point + i]
                values[4 * g + i] = -value if signs >> i & 1 else value


def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 110]."""
    _pack(blocks, importance, out, iq3_grid("IQ3_S").table)


def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 110] into out, float32[n, 256]."""
    _unpack(packed, out, iq3_grid("IQ3_S").values)


IQ3_S = BlockType("IQ3_S", pack, unpack)
