"""Two bits of each level of a super-block, in 64 bytes: byte 32 h + l has those of elements 128 h + l + 32 p at bit 2p.

Q2_K keeps its levels so, Q3_K their low bits and Q6_K their high bits.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Packed
from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import LANES, Ints, load_bytes, splat_int, store_bytes

I = np.int32  # noqa: E741
HALVES = 2
#: Vectors of a half.
PLANES = 4


@inner
def store_two_bits(levels: Packed, shift: np.int32, block: Packed, at: int) -> None:
    """Write two bits, from bit `shift` on, of each of the levels uint8[256] to block[at : at + 64]."""
    for half in range(HALVES):
        packed = splat_int(I(0))
        for p in range(PLANES):
            packed |= (load_bytes(levels, (PLANES * half + p) * LANES) >> shift & I(3)) << I(2 * p)
        store_bytes(block, at + half * LANES, packed)


@inner
def load_two_bits(block: Packed, at: int, half: int, p: int) -> Ints:
    """Read those of elements 128 * half + 32 * p and the 31 after it."""
    return load_bytes(block, at + half * LANES) >> I(2 * p) & I(3)
