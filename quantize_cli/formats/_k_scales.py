"""What Q4_K and Q5_K share: eight 6-bit scales and eight 6-bit mins of a super-block, packed into 12 bytes.

    bytes 0-3    scale j in the low 6 bits, j = 0..3;   high 2 bits: bits 4-5 of scale j + 4
    bytes 4-7    min j in the low 6 bits;               high 2 bits: bits 4-5 of min j + 4
    bytes 8-11   low 4 bits of scale j + 4  |  low 4 bits of min j + 4, shifted left by 4

The super-block's d and dmin, float16, multiply them: x ~ d * scale * level - dmin * min.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantize_cli.formats._affine import MIN, SCALE, searched_levels
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, nearest_int, store_half, to_half
from quantize_cli.formats._k_pack import round_levels
from quantize_cli.formats._lanes import Lanes
from quantize_cli.formats.base import Packed

F = np.float32
SUPER_BLOCK = 256
SUB_BLOCK = 32
SUB_BLOCKS = 8
#: Bytes of d, dmin and the packed scales and mins.
HEAD_BYTES = 16


class Work(NamedTuple):
    """Room for one super-block."""

    scale: Lanes  #: float32[256]
    low: Lanes  #: float32[256]
    levels: Packed  #: uint8[256]


@kernel
def new_work() -> Work:
    """Allocate it."""
    return Work(np.empty(SUPER_BLOCK, np.float32), np.empty(SUPER_BLOCK, np.float32), np.empty(SUPER_BLOCK, np.uint8))


@kernel
def _six_bits(value: np.float32) -> int:
    """Nearest integer as the reference's uint8, at most 63: a negative number wraps and becomes 63."""
    return min(63, int(nearest_int(value)) & 0xFF)


@kernel
def encode_head(fit: Lanes, lane: int, out: Packed) -> None:
    """Write d, dmin and the packed scales and mins of the super-block whose sub-blocks start at `lane`."""
    max_scale = F(0)
    max_min = F(0)
    for j in range(SUB_BLOCKS):
        max_scale = max(max_scale, fit[SCALE + lane + j])
        max_min = max(max_min, -fit[MIN + lane + j])
    inverse_scale = F(63) / max_scale if max_scale > F(0) else F(0)
    inverse_min = F(63) / max_min if max_min > F(0) else F(0)
    store_half(out, 0, to_half(max_scale / F(63)))
    store_half(out, 2, to_half(max_min / F(63)))
    packed = 4
    for j in range(4):
        low_scale = _six_bits(inverse_scale * fit[SCALE + lane + j])
        low_min = _six_bits(inverse_min * -fit[MIN + lane + j])
        high_scale = _six_bits(inverse_scale * fit[SCALE + lane + j + 4])
        high_min = _six_bits(inverse_min * -fit[MIN + lane + j + 4])
        out[packed + j] = low_scale | (high_scale >> 4) << 6
        out[packed + j + 4] = low_min | (high_min >> 4) << 6
        out[packed + j + 8] = (high_scale & 15) | (high_min & 15) << 4


@kernel
def scale_and_min(block: Packed, j: int) -> tuple[np.float32, np.float32]:
    """What the levels of sub-block j are multiplied with, and what is then subtracted."""
    if j < 4:
        scale = block[4 + j] & 63
        low = block[8 + j] & 63
    else:
        scale = (block[8 + j] & 15) | (block[j] >> 6) << 4
        low = (block[8 + j] >> 4) | (block[4 + j] >> 6) << 4
    return load_half(block, 0) * F(scale), load_half(block, 2) * F(low)


@kernel
def encode_levels(values: Lanes, fit: Lanes, lane: int, block: Packed, top: int, work: Work) -> None:
    """Levels 0..top of one super-block's 256 `values` under its stored scales and mins, into work.levels.

    A sub-block whose stored scale is 0 keeps the levels of the search, as in the reference.
    """
    for j in range(SUB_BLOCKS):
        scale, low = scale_and_min(block, j)
        for i in range(j * SUB_BLOCK, (j + 1) * SUB_BLOCK):
            work.scale[i] = scale
            work.low[i] = low
    round_levels(values, work.low, work.scale, np.int32(top), work.levels)
    for j in range(SUB_BLOCKS):
        start = j * SUB_BLOCK
        if work.scale[start] == F(0):
            stop = start + SUB_BLOCK
            searched_levels(values[start:stop], fit, lane + j, F(top), work.levels[start:stop])
