"""Q3_K: 3.4375 bits per weight; x = d * (scale - 32) * level, level -4..3 kept as 0..7.

A super-block of 256 weights, 16 sub-blocks of 16, 110 bytes:

    0    hmask   32 bytes: bit p of byte l is the high bit of element 32 p + l
    32   qs      64 bytes: byte 32 h + l holds the low 2 bits of elements 128 h + l + 32 p, p = 0..3
    96   scales  12 bytes: byte j (0..7) holds the low 4 bits of scale j and, in its high half, of scale j + 8;
                 byte 8 + j % 4 holds the high 2 bits of scale j at bit 2 (j / 4)
    108  d       float16

The search is ggml-quants.c, `make_q3_quants`: from the levels of the plain scale, change one level at a time while
that lets the least-squares scale explain more, in at most five rounds.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import clamped_int, load_half, nearest_int, store_half, to_half
from quantize_cli.formats._k_pack import pack_two_bits, round_signed_levels
from quantize_cli.formats._k_scales import Work, new_work
from quantize_cli.formats._lanes import LANES, Lanes, load_lanes
from quantize_cli.formats._symmetric import find_extreme
from quantize_cli.formats.base import BlockFormat, Blocks, Packed

F = np.float32
SUPER_BLOCK = 256
SUB_BLOCK = 16
SUB_BLOCKS = 16
BLOCK_BYTES = 110
BOTTOM, TOP = np.int32(-4), np.int32(3)
ROUNDS = 5
HMASK, QS, SCALES, D = 0, 32, 96, 108

# Rows of the work space: the 16 values, their levels -4..3, and their sums are what a lane is made of.
_LEVELS = SUB_BLOCK * LANES
_SUM_LX, _SUM_L2 = 2 * SUB_BLOCK * LANES, (2 * SUB_BLOCK + 1) * LANES
_LANE_ROWS = 2 * SUB_BLOCK + 2
SCALE, _MAX, _INVERSE, _CHANGED = (row * LANES for row in range(_LANE_ROWS, _LANE_ROWS + 4))
_NEXT = (_LANE_ROWS + 4) * LANES  # the levels after the round; masked stores are slow, see `_affine._keep_better`
FIT_SIZE = _NEXT + SUB_BLOCK * LANES
#: Groups of lanes searched together, and super-blocks in a group.
GROUPS = 8
GROUP_BLOCKS = LANES // SUB_BLOCKS
Fits: TypeAlias = NDArray[np.float32]


@kernel
def _start(fit: Lanes) -> None:
    """Levels under the plain scale, and their sums."""
    for lane in range(LANES):
        fit[_SUM_LX + lane] = F(0)
        fit[_SUM_L2 + lane] = F(0)
        fit[_INVERSE + lane] = F(BOTTOM) / fit[_MAX + lane]
    for i in range(SUB_BLOCK):
        for lane in range(LANES):
            value = fit[i * LANES + lane]
            level = F(clamped_int(fit[_INVERSE + lane] * value, BOTTOM, TOP))
            weighted = value * value
            fit[_LEVELS + i * LANES + lane] = level
            fit[_SUM_LX + lane] += weighted * value * level
            fit[_SUM_L2 + lane] += weighted * level * level


@kernel
def _improve(fit: Lanes) -> None:
    """One round over the elements of all lanes; _CHANGED says which lanes changed."""
    for lane in range(LANES):
        fit[_CHANGED + lane] = F(0)
    for i in range(SUB_BLOCK):
        values = fit[i * LANES : (i + 1) * LANES]
        levels = fit[_LEVELS + i * LANES : _LEVELS + (i + 1) * LANES]
        next_levels = fit[_NEXT + i * LANES : _NEXT + (i + 1) * LANES]
        sums = fit[_SUM_LX : _CHANGED + LANES]
        for lane in range(LANES):
            value = values[lane]
            level = levels[lane]
            sum_lx = sums[lane]
            sum_l2 = sums[_SUM_L2 - _SUM_LX + lane]
            changed = sums[_CHANGED - _SUM_LX + lane]
            weight = value * value
            weighted = weight * value
            rest_lx = sum_lx - weighted * level
            rest_l2 = sum_l2 - weight * level * level
            other = F(clamped_int(value * rest_l2 / rest_lx, BOTTOM, TOP))
            new_lx = rest_lx + weighted * other
            new_l2 = rest_l2 + weight * other * other
            better = (
                (rest_lx > F(0))
                & (other != level)
                & (new_l2 > F(0))
                & (new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2)
            )
            next_levels[lane] = other if better else level
            sums[lane] = new_lx if better else sum_lx
            sums[_SUM_L2 - _SUM_LX + lane] = new_l2 if better else sum_l2
            sums[_CHANGED - _SUM_LX + lane] = F(1) if better else changed
    for i in range(SUB_BLOCK):
        for lane in range(LANES):
            fit[_LEVELS + i * LANES + lane] = fit[_NEXT + i * LANES + lane]


@kernel
def _settle(fits: Fits, few: Lanes, active: NDArray[np.int64]) -> None:
    """All rounds. A lane that one round left as it was cannot change in the next.

    That are four lanes of five after the first round; the others, of all groups, go on together in full vectors.
    """
    count = 0
    for group in range(GROUPS):
        _improve(fits[group])
        for lane in range(LANES):
            if fits[group, _CHANGED + lane] > F(0):
                active[count] = group * LANES + lane
                count += 1
    for _ in range(1, ROUNDS):
        still = 0
        for first in range(0, count, LANES):
            part = min(LANES, count - first)
            for k in range(part):
                group, lane = active[first + k] // LANES, active[first + k] % LANES
                for row in range(_LANE_ROWS):
                    few[row * LANES + k] = fits[group, row * LANES + lane]
            _improve(few)  # all lanes; what stands in those beyond `part` is never looked at
            for k in range(part):
                group, lane = active[first + k] // LANES, active[first + k] % LANES
                for row in range(SUB_BLOCK, _LANE_ROWS):
                    fits[group, row * LANES + lane] = few[row * LANES + k]
                if few[_CHANGED + k] > F(0):
                    active[still] = active[first + k]
                    still += 1
        count = still


@kernel
def _search(fits: Fits, few: Lanes, active: NDArray[np.int64]) -> None:
    """Find every lane's levels and scale, the row SCALE of its group.

    Args:
        fits: work space, float32[GROUPS, FIT_256]; each group begins with the values of its lanes.
        few: the same for one group.
        active: room for GROUPS * LANES numbers.
    """
    for group in range(GROUPS):
        find_extreme(fits[group], SUB_BLOCK, fits[group, _MAX : _MAX + LANES])
        _start(fits[group])
    _settle(fits, few, active)
    for group in range(GROUPS):
        fit = fits[group]
        for lane in range(LANES):
            sum_lx = fit[_SUM_LX + lane]
            sum_l2 = fit[_SUM_L2 + lane]
            nonzero = (sum_l2 > F(0)) & (fit[_MAX + lane] != F(0))
            fit[SCALE + lane] = sum_lx / sum_l2 if nonzero else F(0)


@kernel
def _encode_scales(fit: Lanes, lane: int, out: Packed, work: Work) -> None:
    """Write d and the packed scales; work.scale receives each element's d * (scale - 32)."""
    largest = F(0)
    for j in range(SUB_BLOCKS):
        scale = fit[SCALE + lane + j]
        largest = scale if abs(scale) > abs(largest) else largest
    out[SCALES:] = 0
    if largest == F(0):
        work.scale[:] = F(0)
        return
    inverse = F(-32) / largest
    store_half(out, D, to_half(F(1) / inverse))
    d = load_half(out, D)
    for j in range(SUB_BLOCKS):
        # int8 as in the reference: a number out of its range wraps before it is clamped
        wrapped = np.int32(np.int8(nearest_int(inverse * fit[SCALE + lane + j])))
        level = min(np.int32(31), max(np.int32(-32), wrapped))
        scale = d * F(level)
        for i in range(j * SUB_BLOCK, (j + 1) * SUB_BLOCK):
            work.scale[i] = scale
        stored = level + 32
        out[SCALES + j % 8] |= (stored & 15) << 4 * (j // 8)
        out[SCALES + 8 + j % 4] |= (stored >> 4) << 2 * (j // 4)


@kernel
def _encode_levels(values: Lanes, fit: Lanes, lane: int, out: Packed, work: Work) -> None:
    """Levels 0..7 under the stored scales; a sub-block with stored scale 0 keeps the levels of the search."""
    levels = work.levels
    round_signed_levels(values, work.scale, BOTTOM, TOP, levels)
    for j in range(SUB_BLOCKS):
        if work.scale[j * SUB_BLOCK] == F(0):
            zero = fit[_MAX + lane + j] == F(0)
            for i in range(SUB_BLOCK):
                levels[j * SUB_BLOCK + i] = 0 if zero else np.int32(fit[_LEVELS + i * LANES + lane + j]) - BOTTOM
    high = out[HMASK:QS]
    high[:] = 0
    for plane in range(8):
        for i in range(high.size):
            high[i] |= levels[32 * plane + i] >> 2 << plane
    for i in range(levels.size):
        levels[i] &= 3
    pack_two_bits(levels, out[QS:SCALES])


@kernel
def pack(blocks: Blocks, out: Packed) -> None:
    """Blocks float32[n, 256] -> out uint8[n, 110]."""
    flat = blocks.reshape(-1)
    fits = np.empty((GROUPS, FIT_SIZE), np.float32)
    few = np.zeros(FIT_SIZE, np.float32)
    active = np.empty(GROUPS * LANES, np.int64)
    work = new_work()
    count = blocks.shape[0]
    for first in range(0, count, GROUPS * GROUP_BLOCKS):
        for group in range(GROUPS):
            load_lanes(flat, (first + group * GROUP_BLOCKS) * SUB_BLOCKS, SUB_BLOCK, fits[group])
        _search(fits, few, active)
        for number in range(first, min(count, first + GROUPS * GROUP_BLOCKS)):
            fit = fits[(number - first) // GROUP_BLOCKS]
            lane = (number - first) % GROUP_BLOCKS * SUB_BLOCKS
            _encode_scales(fit, lane, out[number], work)
            _encode_levels(blocks[number], fit, lane, out[number], work)


@kernel
def unpack(packed: Packed, out: Blocks) -> None:
    """Packed uint8[n, 110] -> out float32[n, 256]."""
    for number in range(packed.shape[0]):
        block, values = packed[number], out[number]
        d = load_half(block, D)
        for j in range(SUB_BLOCKS):
            low_scale = block[SCALES + j % 8] >> 4 * (j // 8) & 15
            high_scale = block[SCALES + 8 + j % 4] >> 2 * (j // 4) & 3
            scale = d * F(np.int32(low_scale | high_scale << 4) - 32)
            low = QS + j // 8 * 32 + j % 2 * SUB_BLOCK
            high = HMASK + j % 2 * SUB_BLOCK
            shift, plane = j // 2 % 4 * 2, j // 2
            for i in range(SUB_BLOCK):
                level = (block[low + i] >> shift & 3) | (block[high + i] >> plane & 1) << 2
                values[j * SUB_BLOCK + i] = scale * F(np.int32(level) + BOTTOM)


Q3_K = BlockFormat(GGMLQuantizationType.Q3_K, SUPER_BLOCK, BLOCK_BYTES, pack, unpack)
