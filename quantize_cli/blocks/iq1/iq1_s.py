"""IQ1_S: 1.5625 bits per weight; x = d * (2 * scale + 1) * (level - 1 + shift), level 0..2, shift 1/8 or -1/8.

A super-block of 256 weights, 8 sub-blocks of 32, 50 bytes:

    0    d      float16
    2    qs     32 bytes: byte 4 j + k is the low 8 bits of the number of sub-block j's grid point k (grid.py)
    34   qh     8 uint16, one a sub-block: bits 3 k to 3 k + 2 are the high bits of point k, bits 12 to 14 the scale;
                bit 15 tells whether the shift is negative
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import SUPER_BLOCK, Blocks, BlockType, Importance, Packed
from quantize_cli.blocks.iq1.grid import GROUP, Iq1Grid, iq1_grid
from quantize_cli.blocks.iq1.snap import snap_to_grid, store_scales
from quantize_cli.blocks.iq1.splits import LOWEST, SECOND, SHIFTS, may_win, rank, sum_in_order
from quantize_cli.blocks.iq1.work import MINUS, PLUS, STEPS, Work, load_super_blocks, new_work
from quantize_cli.blocks.search.weights import weigh_importance
from quantize_cli.simd.compile import inner, kernel
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import Lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    any_lane,
    load,
    mask_of,
    select,
    splat,
    splat_int,
    store,
)

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCK = 32
SUB_BLOCKS = SUPER_BLOCK // SUB_BLOCK
GROUPS = SUB_BLOCK // GROUP
QS = 2
QH = 34
#: Sub-blocks whose magnitudes are below this count as zero (ggml-quants.c, GROUP_MAX_EPS_IQ1_S).
SMALLEST = F(1e-12)
#: `shifts` of a sub-block with negative shift: both halves have it.
NEGATIVE = 3
#: d is larger than the stored scales ask for, by this factor.
FUDGE = F(1.125)


@inner
def _split(sums_x: Lanes, sums_w: Lanes) -> tuple[Floats, Ints]:
    """Find the split that explains most, and its scale: of equal ones the first."""
    total_x = load(sums_x, SUB_BLOCK * LANES)
    total_w = load(sums_w, SUB_BLOCK * LANES)
    best = splat(LOWEST)
    scale = splat(F(0))
    split = splat_int(I(-1))
    for first in range(SUB_BLOCK + 1):
        low_x = load(sums_x, first * LANES)
        low_w = load(sums_w, first * LANES)
        plus_x = low_x * PLUS[0]
        plus_w = low_w * PLUS[0] * PLUS[0]
        minus_x = low_x * MINUS[0]
        minus_w = low_w * MINUS[0] * MINUS[0]
        for second in range(first, SUB_BLOCK + 1):
            middle_x = (load(sums_x, second * LANES) - low_x) * PLUS[1]  # subtracted, it is that with MINUS[1]
            middle_w = (load(sums_w, second * LANES) - low_w) * PLUS[1] * PLUS[1]
            high_x = total_x - load(sums_x, second * LANES)
            high_w = total_w - load(sums_w, second * LANES)
            plus_qx = plus_x + middle_x + high_x * PLUS[2]
            plus_q2 = plus_w + middle_w + high_w * PLUS[2] * PLUS[2]
            minus_qx = minus_x - middle_x + high_x * MINUS[2]
            minus_q2 = minus_w + middle_w + high_w * MINUS[2] * MINUS[2]
            if any_lane(may_win(plus_qx, plus_q2, best) | may_win(minus_qx, minus_q2, best)):
                code = first | second << SECOND
                wins = may_win(plus_qx, plus_q2, best) & (plus_q2 > F(0))
                scale = select(wins, plus_qx / plus_q2, scale)
                best = select(wins, scale * plus_qx, best)
                split = select(wins, I(code), split)
                wins = may_win(minus_qx, minus_q2, best) & (minus_q2 > F(0))
                scale = select(wins, minus_qx / minus_q2, scale)
                best = select(wins, scale * minus_qx, best)
                split = select(wins, I(code | NEGATIVE << SHIFTS), split)
    return scale, split


@inner
def _encode(work: Work, lane: int, block: Packed) -> None:
    """Write the super-block in `lane`."""
    store_half(block, 0, to_half(work.head[lane]))
    for j in range(SUB_BLOCKS):
        high = work.stored_scales[j * LANES + lane] << 12 | (work.shifts[j * LANES + lane] & 1) << 15
        for k in range(GROUPS):
            point = work.points[(j * GROUPS + k) * LANES + lane]
            block[QS + j * GROUPS + k] = np.uint8(point & 255)
            high |= point >> 8 << 3 * k
        block[QH + 2 * j] = np.uint8(high & 255)
        block[QH + 2 * j + 1] = np.uint8(high >> 8)


@kernel
def _pack(blocks: Blocks, importance: Importance, out: Packed, work: Work, grid: Iq1Grid) -> None:
    for start in range(0, blocks.shape[0], LANES):
        count = min(LANES, blocks.shape[0] - start)
        variance = load_super_blocks(blocks, importance, start, count, work)
        for j in range(SUB_BLOCKS):
            first, stop = j * SUB_BLOCK * LANES, (j + 1) * SUB_BLOCK * LANES
            x = work.x[first:stop]
            weigh_importance(x, work.importance[first:stop], variance, work.w)
            rank(x, work.ranks)
            sum_in_order(x, work.w, work.ranks, 1, work.sums_x, work.sums_w)
            scale, split = _split(work.sums_x, work.sums_w)
            snap_to_grid(j, x, scale, split, SMALLEST, work, grid)
        store(work.head, 0, store_scales(work, SUB_BLOCKS) / STEPS * FUDGE)
        for lane in range(count):
            _encode(work, lane, out[start + lane])


def pack(blocks: Blocks, importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 256] with their importance into out, uint8[n, 50].

    Raises:
        OverflowError: the weighted errors of a block are beyond the range of float32.
    """
    assert importance is not None
    _pack(blocks, importance, out, new_work(), iq1_grid())


@kernel
def _unpack(packed: Packed, out: Blocks, grid: Iq1Grid) -> None:
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, 0)
        for j in range(SUB_BLOCKS):
            high = int(block[QH + 2 * j]) | int(block[QH + 2 * j + 1]) << 8
            ones, twos = I(0), I(0)
            for k in range(GROUPS):
                code = grid.codes[int(block[QS + j * GROUPS + k]) | (high >> 3 * k & 7) << 8]
                ones |= (code & I(255)) << I(GROUP * k)
                twos |= code >> I(GROUP) << I(GROUP * k)
            scale = d * F(2 * (high >> 12 & 7) + 1)
            low, middle, top = MINUS if high >> 15 else PLUS
            value = select(mask_of(I(ones)), splat(scale * middle), scale * low)
            store(values, j * SUB_BLOCK, select(mask_of(I(twos)), scale * top, value))


def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 50] into out, float32[n, 256]."""
    _unpack(packed, out, iq1_grid())


IQ1_S = BlockType("IQ1_S", pack, unpack)
