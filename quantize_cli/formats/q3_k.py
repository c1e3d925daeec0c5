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

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import clamped_int, load_half, nearest_int, store_half, to_half
from quantize_cli.formats._k_pack import pack_two_bits
from quantize_cli.formats._lanes import LANES, Lanes, load_lanes
from quantize_cli.formats._symmetric import find_extreme
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
SUPER_BLOCK = 256
SUB_BLOCK = 16
SUB_BLOCKS = 16
BLOCK_BYTES = 110
BOTTOM, TOP = np.int32(-4), np.int32(3)
ROUNDS = 5
HMASK, QS, SCALES, D = 0, 32, 96, 108

# Rows of the work space, behind the levels -4..3 of the 16 elements.
_NEXT = SUB_BLOCK * LANES  # the levels after the round in hand; masked stores are slow, see `_affine._keep_better`
SCALE = 2 * SUB_BLOCK * LANES
_MAX, _SUM_LX, _SUM_L2, _CHANGED = SCALE + LANES, SCALE + 2 * LANES, SCALE + 3 * LANES, SCALE + 4 * LANES
_INVERSE = SCALE + 5 * LANES
FIT_SIZE = SCALE + 6 * LANES
#: Elements handled in one visit of a lane; the division fills the registers.
_UNROLL = 2


@kernel
def _start(x: Lanes, fit: Lanes) -> None:
    """Levels under the plain scale, and their sums."""
    for lane in range(LANES):
        fit[_SUM_LX + lane] = F(0)
        fit[_SUM_L2 + lane] = F(0)
        fit[_INVERSE + lane] = F(BOTTOM) / fit[_MAX + lane]
    for i in range(SUB_BLOCK):
        for lane in range(LANES):
            value = x[i * LANES + lane]
            level = F(clamped_int(fit[_INVERSE + lane] * value, BOTTOM, TOP))
            weighted = value * value
            fit[i * LANES + lane] = level
            fit[_SUM_LX + lane] += weighted * value * level
            fit[_SUM_L2 + lane] += weighted * level * level


@kernel
def _improve(x: Lanes, fit: Lanes) -> bool:
    """One round over the elements; whether any lane changed a level."""
    for lane in range(LANES):
        fit[_CHANGED + lane] = F(0)
    for first in range(0, SUB_BLOCK, _UNROLL):
        xs = x[first * LANES : (first + _UNROLL) * LANES]
        levels = fit[first * LANES : (first + _UNROLL) * LANES]
        next_levels = fit[_NEXT + first * LANES : _NEXT + (first + _UNROLL) * LANES]
        for lane in range(LANES):
            sum_lx = fit[_SUM_LX + lane]
            sum_l2 = fit[_SUM_L2 + lane]
            changed = fit[_CHANGED + lane]
            for i in range(_UNROLL):
                value = xs[i * LANES + lane]
                level = levels[i * LANES + lane]
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
                next_levels[i * LANES + lane] = other if better else level
                sum_lx = new_lx if better else sum_lx
                sum_l2 = new_l2 if better else sum_l2
                changed = F(1) if better else changed
            fit[_SUM_LX + lane] = sum_lx
            fit[_SUM_L2 + lane] = sum_l2
            fit[_CHANGED + lane] = changed
    for i in range(SUB_BLOCK * LANES):
        fit[i] = fit[_NEXT + i]
    for lane in range(LANES):
        if fit[_CHANGED + lane] > F(0):
            return True
    return False


@kernel
def _search(x: Lanes, fit: Lanes) -> None:
    """Find every lane's levels and scale: the first 16 rows and the row SCALE of `fit`.

    A lane that did not change in one round cannot change in the next, so the rounds end together.
    """
    find_extreme(x, SUB_BLOCK, fit[_MAX : _MAX + LANES])
    _start(x, fit)
    for _ in range(ROUNDS):
        if not _improve(x, fit):
            break
    for lane in range(LANES):
        sum_lx = fit[_SUM_LX + lane]
        sum_l2 = fit[_SUM_L2 + lane]
        nonzero = (sum_l2 > F(0)) & (fit[_MAX + lane] != F(0))
        fit[SCALE + lane] = sum_lx / sum_l2 if nonzero else F(0)


@kernel
def _encode_scales(fit: Lanes, lane: int, out: Packed, scales: Lanes) -> None:
    """Write d and the packed scales; `scales` receives each element's d * (scale - 32)."""
    largest = F(0)
    for j in range(SUB_BLOCKS):
        scale = fit[SCALE + lane + j]
        largest = scale if abs(scale) > abs(largest) else largest
    out[SCALES:BLOCK_BYTES] = 0
    if largest == F(0):
        scales[:] = F(0)
        return
    inverse = F(-32) / largest
    store_half(out, D, to_half(F(1) / inverse))
    d = load_half(out, D)
    for j in range(SUB_BLOCKS):
        # int8 as in the reference: a number out of its range wraps before it is clamped
        wrapped = np.int32(np.int8(nearest_int(inverse * fit[SCALE + lane + j])))
        scale = min(np.int32(31), max(np.int32(-32), wrapped))
        scales[j * SUB_BLOCK : (j + 1) * SUB_BLOCK] = d * F(scale)
        stored = scale + 32
        out[SCALES + j % 8] |= (stored & 15) << 4 * (j // 8)
        out[SCALES + 8 + j % 4] |= (stored >> 4) << 2 * (j // 4)


@kernel
def _encode_levels(values: Lanes, fit: Lanes, lane: int, out: Packed, scales: Lanes, levels: Packed) -> None:
    """Levels 0..7 under the stored scales; a sub-block with stored scale 0 keeps the levels of the search."""
    for i in range(SUPER_BLOCK):
        levels[i] = clamped_int(values[i] / scales[i], BOTTOM, TOP) - BOTTOM
    for j in range(SUB_BLOCKS):
        if scales[j * SUB_BLOCK] == F(0):
            zero = fit[_MAX + lane + j] == F(0)
            for i in range(SUB_BLOCK):
                levels[j * SUB_BLOCK + i] = 0 if zero else np.int32(fit[i * LANES + lane + j]) - BOTTOM
    out[HMASK:QS] = 0
    for plane in range(8):
        for i in range(32):
            out[HMASK + i] |= levels[32 * plane + i] >> 2 << plane
    for i in range(SUPER_BLOCK):
        levels[i] &= 3
    pack_two_bits(levels, out, QS)


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 256 * 110]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    x = np.empty(SUB_BLOCK * LANES, np.float32)
    fit = np.empty(FIT_SIZE, np.float32)
    scales = np.empty(SUPER_BLOCK, np.float32)
    levels = np.empty(SUPER_BLOCK, np.uint8)
    blocks = flat.size // SUPER_BLOCK
    for first in range(0, blocks, LANES // SUB_BLOCKS):
        load_lanes(flat, first * SUB_BLOCKS, SUB_BLOCK, x)
        _search(x, fit)
        for block in range(first, min(blocks, first + LANES // SUB_BLOCKS)):
            lane = (block - first) * SUB_BLOCKS
            target = packed[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
            _encode_scales(fit, lane, target, scales)
            values = flat[block * SUPER_BLOCK : (block + 1) * SUPER_BLOCK]
            _encode_levels(values, fit, lane, target, scales, levels)


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 256 * 110] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // SUPER_BLOCK):
        at = block * BLOCK_BYTES
        d = load_half(source, at + D)
        for j in range(SUB_BLOCKS):
            low_scale = source[at + SCALES + j % 8] >> 4 * (j // 8) & 15
            high_scale = source[at + SCALES + 8 + j % 4] >> 2 * (j // 4) & 3
            scale = d * F(np.int32(low_scale | high_scale << 4) - 32)
            low = at + QS + j // 8 * 32 + j % 2 * SUB_BLOCK
            high = at + HMASK + j % 2 * SUB_BLOCK
            shift, plane = j // 2 % 4 * 2, j // 2
            start = block * SUPER_BLOCK + j * SUB_BLOCK
            for i in range(SUB_BLOCK):
                level = (source[low + i] >> shift & 3) | (source[high + i] >> plane & 1) << 2
                flat[start + i] = scale * F(np.int32(level) + BOTTOM)


Q3_K = BlockFormat(GGMLQuantizationType.Q3_K, SUPER_BLOCK, BLOCK_BYTES, quantize, dequantize)
