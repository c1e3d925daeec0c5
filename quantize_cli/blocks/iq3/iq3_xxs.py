"""IQ3_XXS: 3.0625 bits per weight; x = sign * d * (2 * scale + 1) / 4 * q, four q at a time a point of a grid of 256.

A super-block of 256 weights, 8 sub-blocks of 32, 98 bytes:

    0    d      float16
    2    qs     64 bytes: the numbers of 64 points, of four weights each
    66   heads  8 uint32: of a sub-block, seven signs of each eight weights from bits 0, 7, 14 and 21 on, a set bit
                a negative one, and the scale 0..15 from bit 28 on

The sign of the last of eight weights makes the number of negative ones even.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import SUPER_BLOCK, Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.grids.signs import eight_signs, parity
from quantize_cli.blocks.iq3.fit import (
    CODES,
    GROUPS,
    SCALES,
    SIGNS,
    SUB_BLOCKS,
    FloatWork,
    IntWork,
    Search,
    W,
    X,
    fit_points,
    new_work,
    point_number,
    scale_level,
    weigh,
)
from quantize_cli.blocks.iq3.grid import Table, iq3_grid
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.half import load_half, store_half, to_half

F = np.float32
QS, HEADS = 2, 66
SEARCH = Search(reach=15, least=F(1e-8), whole=False)


@inner
def _make_even(floats: FloatWork, ints: IntWork) -> None:
    """Give the weight that counts least of eight the other sign, where the number of negative ones is odd."""
    for k in range(SUPER_BLOCK // 8):
        if parity(ints[SIGNS + k]):
            least, chosen = F(0), 0
            for i in range(8):
                x = floats[X + 8 * k + i]
                counts = floats[W + 8 * k + i] * x * x
                if i == 0 or counts < least:
                    least, chosen = counts, i
            floats[X + 8 * k + chosen] = -floats[X + 8 * k + chosen]
            ints[SIGNS + k] ^= 1 << chosen


@kernel
def _pack(blocks: Blocks, importance: Importance | None, out: Packed, grid: Table) -> None:
    floats, ints = new_work()
    for number in range(blocks.shape[0]):
        block = out[number]
        weigh(blocks[number], importance, number, floats, ints)
        _make_even(floats, ints)
        highest = fit_points(SEARCH, grid, floats, ints)
        if highest == F(0):
            block[:] = 0
            continue
        d = highest / F(31)
        store_half(block, 0, to_half(d * F(1.0125)))
        for g in range(GROUPS):
            block[QS + g] = point_number(ints[CODES + g], grid)
        for j in range(SUB_BLOCKS):
            head = scale_level(floats[SCALES + j], F(1) / d) << 28
            for k in range(4):
                head |= (int(ints[SIGNS + 4 * j + k]) & 127) << 7 * k
            for k in range(4):
                block[HEADS + 4 * j + k] = head >> 8 * k & 255


@kernel
def _unpack(packed: Packed, out: Blocks, points: NDArray[np.float32]) -> None:
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        for j in range(SUB_BLOCKS):
            head = 0
            for k in range(4):
                head |= int(block[HEADS + 4 * j + k]) << 8 * k
            scale = d * (F(0.5) + F(head >> 28)) * F(0.5)
            for k in range(4):
                signs = eight_signs(head >> 7 * k & 127)
                for i in range(8):
                    start = 8 * (4 * j + k)
                    value = scale * points[4 * int(block[QS + (start + i) // 4]) + i % 4]
                    values[start + i] = -value if signs >> i & 1 else value


def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] into out, uint8[n, 98]."""
    _pack(blocks, importance, out, iq3_grid("IQ3_XXS").table)


def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 98] into out, float32[n, 256]."""
    _unpack(packed, out, iq3_grid("IQ3_XXS").values)


IQ3_XXS = BlockType("IQ3_XXS", pack, unpack)
