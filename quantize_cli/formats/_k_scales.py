"""What Q4_K and Q5_K share: sub-blocks of 32, and a head of two float16 and twelve bytes.

Bytes 4 to 15 hold 8 scales and 8 mins of 6 bits (ggml-common.h, block_q4_K): byte 4 + j holds scale j in its low 6 bits
and byte 8 + j min j (j = 0..3); byte 12 + j holds the low 4 bits of scale j + 4 and, in its high half, of min j + 4,
whose high 2 bits are the high bits of bytes 4 + j and 8 + j.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, store_half, to_half
from quantize_cli.formats._lanes import Lanes
from quantize_cli.formats._super_blocks import Scheme, Work, keep_searched_levels, round_levels
from quantize_cli.formats._vector import LANES, splat
from quantize_cli.formats.base import Packed

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCK = 32
SUB_BLOCKS = 8
#: Bytes of d, dmin and the packed scales and mins.
HEAD_BYTES = 16
#: The largest stored scale or min.
TOP_SCALE = I(63)


@kernel
def encode_head(work: Work, lane: int, out: Packed) -> None:
    """Write d, dmin and the packed scales and mins of the super-block in `lane`."""
    store_half(out, 0, to_half(work.head[lane]))
    store_half(out, 2, to_half(work.head[LANES + lane]))
    for j in range(4):
        low_scale = int(work.stored_scales[j * LANES + lane])
        low_min = int(work.stored_mins[j * LANES + lane])
        high_scale = int(work.stored_scales[(j + 4) * LANES + lane])
        high_min = int(work.stored_mins[(j + 4) * LANES + lane])
        out[4 + j] = np.uint8((low_scale | high_scale >> 4 << 6) & 255)
        out[8 + j] = np.uint8((low_min | high_min >> 4 << 6) & 255)
        out[12 + j] = np.uint8((high_scale & 15) | (high_min & 15) << 4)


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
def encode_levels(values: Lanes, lane: int, block: Packed, scheme: Scheme, work: Work) -> None:
    """Levels of one super-block's 256 `values` under its stored scales and mins, into work.levels."""
    for j in range(SUB_BLOCKS):
        scale, low = scale_and_min(block, j)
        if scale == F(0):
            keep_searched_levels(values, lane, j, scheme.plain, work)
        else:
            round_levels(values, j * SUB_BLOCK, splat(scale), splat(low), I(scheme.plain.top), work.levels)
