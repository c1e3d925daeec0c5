"""What Q4_K and Q5_K share: eight 6-bit scales and eight 6-bit mins of a super-block, packed into 12 bytes.

    bytes 0-3    scale j in the low 6 bits, j = 0..3;   high 2 bits: bits 4-5 of scale j + 4
    bytes 4-7    min j in the low 6 bits;               high 2 bits: bits 4-5 of min j + 4
    bytes 8-11   low 4 bits of scale j + 4  |  low 4 bits of min j + 4, shifted left by 4

The super-block's d and dmin, float16, multiply them: x ~ d * scale * level - dmin * min.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._affine import INVERSE, MIN, ORIGIN, SCALE, level_of
from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import clamped_int, load_half, nearest_int, store_half, to_half
from quantize_cli.formats._lanes import Lanes

F = np.float32
SUPER_BLOCK = 256
SUB_BLOCK = 32
SUB_BLOCKS = 8
#: Bytes of d, dmin and the packed scales and mins.
HEAD_BYTES = 16


@kernel
def _six_bits(value: np.float32) -> int:
    """Nearest integer as the reference's uint8, at most 63: a negative number wraps and becomes 63."""
    return min(63, int(nearest_int(value)) & 0xFF)


@kernel
def encode_head(fit: Lanes, lane: int, out: NDArray[np.uint8], at: int) -> None:
    """Write d, dmin and the packed scales and mins of the super-block whose sub-blocks start at `lane`."""
    max_scale = F(0)
    max_min = F(0)
    for j in range(SUB_BLOCKS):
        max_scale = max(max_scale, fit[SCALE + lane + j])
        max_min = max(max_min, -fit[MIN + lane + j])
    inverse_scale = F(63) / max_scale if max_scale > F(0) else F(0)
    inverse_min = F(63) / max_min if max_min > F(0) else F(0)
    store_half(out, at, to_half(max_scale / F(63)))
    store_half(out, at + 2, to_half(max_min / F(63)))
    packed = at + 4
    for j in range(4):
        low_scale = _six_bits(inverse_scale * fit[SCALE + lane + j])
        low_min = _six_bits(inverse_min * -fit[MIN + lane + j])
        high_scale = _six_bits(inverse_scale * fit[SCALE + lane + j + 4])
        high_min = _six_bits(inverse_min * -fit[MIN + lane + j + 4])
        out[packed + j] = low_scale | (high_scale >> 4) << 6
        out[packed + j + 4] = low_min | (high_min >> 4) << 6
        out[packed + j + 8] = (high_scale & 15) | (high_min & 15) << 4


@kernel
def scale_at(block: NDArray[np.uint8], at: int, j: int) -> int:
    """The 6-bit scale of sub-block j, from the 12 bytes at `at`."""
    if j < 4:
        return int(block[at + j] & 63)
    return int((block[at + j + 4] & 15) | (block[at + j - 4] >> 6) << 4)


@kernel
def min_at(block: NDArray[np.uint8], at: int, j: int) -> int:
    """The 6-bit min of sub-block j, from the 12 bytes at `at`."""
    if j < 4:
        return int(block[at + j + 4] & 63)
    return int((block[at + j + 4] >> 4) | (block[at + j] >> 6) << 4)


@kernel
def encode_levels(
    values: Lanes, fit: Lanes, lane: int, block: NDArray[np.uint8], at: int, top: int, levels: NDArray[np.uint8]
) -> None:
    """Levels 0..top of one super-block's 256 `values` under its stored scales and mins.

    A sub-block whose stored scale is 0 keeps the levels of the search, as in the reference.
    """
    d = load_half(block, at)
    dmin = load_half(block, at + 2)
    for j in range(SUB_BLOCKS):
        start = j * SUB_BLOCK
        scale = d * F(scale_at(block, at + 4, j))
        low = dmin * F(min_at(block, at + 4, j))
        if scale == F(0):
            inverse = fit[INVERSE + lane + j]
            origin = fit[ORIGIN + lane + j]
            for i in range(start, start + SUB_BLOCK):
                levels[i] = np.uint8(level_of(inverse * (values[i] - origin), F(top)))
        else:
            for i in range(start, start + SUB_BLOCK):
                levels[i] = clamped_int((values[i] + low) / scale, np.int32(0), np.int32(top))
