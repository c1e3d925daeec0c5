"""What Q4_K and Q5_K share: sub-blocks of 32, and a head of two float16 and twelve bytes.

Bytes 4 to 15 hold 8 scales and 8 mins of 6 bits (ggml-common.h, block_q4_K): byte 4 + j holds scale j in its low 6 bits
and byte 8 + j min j (j = 0..3); byte 12 + j holds the low 4 bits of scale j + 4 and, in its high half, of min j + 4,
whose high 2 bits are the high bits of bytes 4 + j and 8 + j.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Packed
from quantize_cli.blocks.k.affine import Work, stored_levels
from quantize_cli.simd.compile import inner
from quantize_cli.simd.half import store_half
from quantize_cli.simd.lanes import Lanes, store_lane
from quantize_cli.simd.vector import LANES, Ints, load, splat, store_bytes, to_ints

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCK = 32
SUB_BLOCKS = 8
#: Bytes of d, dmin and the packed scales and mins.
HEAD_BYTES = 16
SCALE_BYTES = 12
#: The largest stored scale or min.
TOP_SCALE = I(63)


@inner
def pack_scales(scales: Lanes, mins: Lanes, packed: Packed) -> None:
    """Pack the levels of scales and mins of LANES super-blocks into `packed`, uint8[12 * LANES] at least."""
    for j in range(0, 4 * LANES, LANES):
        scale, high_scale = to_ints(load(scales, j)), to_ints(load(scales, 4 * LANES + j))
        low, high_min = to_ints(load(mins, j)), to_ints(load(mins, 4 * LANES + j))
        store_bytes(packed, j, scale | high_scale >> I(4) << I(6))
        store_bytes(packed, 4 * LANES + j, low | high_min >> I(4) << I(6))
        store_bytes(packed, 8 * LANES + j, high_scale & I(15) | (high_min & I(15)) << I(4))


@inner
def store_head(block: Packed, d: np.uint16, dmin: np.uint16, packed: Packed, lane: int) -> None:
    """Write d, dmin and what `pack_scales` has left in a lane of `packed`."""
    store_half(block, 0, d)
    store_half(block, 2, dmin)
    store_lane(packed, lane, SCALE_BYTES, block, 4)


@inner
def scale_and_min(block: Packed, j: int) -> tuple[np.float32, np.float32]:
    """Read the stored scale and min, 0..63, of sub-block j."""
    if j < 4:
        return F(block[4 + j] & 63), F(block[8 + j] & 63)
    return F(block[8 + j] & 15 | block[j] >> 6 << 4), F(block[8 + j] >> 4 | block[4 + j] >> 6 << 4)


@inner
def sub_block_levels(
    values: Lanes, j: int, scale: np.float32, low: np.float32, work: Work, lane: int, top: np.int32
) -> Ints:
    """Compute levels 0..top of sub-block j of the super-block `values`, which is in `lane`."""
    place = j * LANES + lane
    inverse, origin = splat(work.inverses[place]), splat(work.origins[place])
    return stored_levels(load(values, j * SUB_BLOCK), splat(scale), splat(low), inverse, origin, top)
