"""The bytes that the IQ2 types share: scales, and what patterns and signs decode to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import Packed
from quantize_cli.blocks.iq2.fit import Work
from quantize_cli.simd.compile import inner
from quantize_cli.simd.half import load_half
from quantize_cli.simd.vector import LANES, lane_numbers, select, splat, splat_int, store, to_floats

F = np.float32
I = np.int32  # noqa: E741
U = np.uint32
_WORD = 0xFFFFFFFF


@inner
def store_scales(work: Work, lane: int, block: Packed, at: int) -> None:
    """Write the sixteen scales of the super-block in `lane` as 8 bytes."""
    for j in range(8):
        low, high = work.stored[2 * j * LANES + lane], work.stored[(2 * j + 1) * LANES + lane]
        block[at + j] = np.uint8(low | high << 4)


@inner
def load_scales(block: Packed, at: int) -> tuple[np.float32, np.float32]:
    """Read the scales of the two sub-blocks that share byte `at`: what their values are multiplied with."""
    d = load_half(block, 0)
    low, high = F(block[at] & 15), F(block[at] >> 4)
    return d * (F(0.5) + low) * F(0.25), d * (F(0.5) + high) * F(0.25)


@inner
def store_values(
    out: NDArray[np.float32], start: int, patterns: int, signs: int, scales: tuple[np.float32, np.float32]
) -> None:
    """Decode 32 weights.

    Args:
        out: receives them, from `start` on.
        start: where.
        patterns: those of the four groups, 16 bits each, the first one lowest.
        signs: a bit for each minus sign.
        scales: of the first sixteen weights and of the others.
    """
    lane = lane_numbers()
    first = lane < I(16)
    low = splat_int(U(patterns & _WORD).view(np.int32))
    high = splat_int(U(patterns >> 32 & _WORD).view(np.int32))
    level = select(first, low, high) >> (I(2) * (lane & I(15))) & I(3)
    # 8, 25, 43
    value = select(first, splat(scales[0]), splat(scales[1])) * to_floats(I(17) * level + (level >> I(1)) + I(8))
    negative = splat_int(U(signs & _WORD).view(np.int32)) >> lane & I(1)
    store(out, start, select(negative == I(1), -value, value))
