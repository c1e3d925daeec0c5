"""What the formats of 32-weight blocks without a search share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._lanes import Lanes

F = np.float32
BLOCK = 32
HALF_BLOCK = 16


@kernel
def inverse_or_zero(d: np.float32) -> np.float32:
    """1 / d, or 0 where that is infinite or d is 0: the reference's conversion of an infinite level gives 0 too."""
    inverse = F(1) / d
    return F(inverse) if abs(inverse) < F(np.inf) else F(0)


@kernel
def round_away(value: np.float32) -> np.float32:
    """C's roundf: half away from zero."""
    whole = np.trunc(value)
    return F(whole + np.copysign(F(1), value)) if abs(value - whole) >= F(0.5) else F(whole)


@kernel
def extreme_of(values: Lanes) -> np.float32:
    """The first of the 32 values whose magnitude is the largest; +0 if all are zeros of either sign."""
    largest = F(0)
    for i in range(BLOCK):
        largest = max(largest, abs(values[i]))
    if largest > F(0):
        for i in range(BLOCK):
            if abs(values[i]) == largest:
                return F(values[i])
    return F(0)


@kernel
def pack_nibbles(levels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """32 levels -> 16 bytes: byte i holds the low 4 bits of level i and, in its high half, of level i + 16."""
    for i in range(HALF_BLOCK):
        out[i] = (levels[i] & 15) | (levels[i + HALF_BLOCK] & 15) << 4


@kernel
def store_fifth_bits(levels: NDArray[np.uint8], out: NDArray[np.uint8], at: int) -> None:
    """Write bit 4 of each of 32 levels as 32 bits at byte `at`: level i at bit i."""
    for byte in range(4):
        bits = np.uint8(0)
        for i in range(8):
            bits |= levels[8 * byte + i] >> 4 << i
        out[at + byte] = bits


@kernel
def load_fifth_bits(packed: NDArray[np.uint8], at: int) -> np.uint32:
    """The 32 bits at byte `at`, little-endian."""
    low = np.uint32(packed[at]) | np.uint32(packed[at + 1]) << np.uint32(8)
    high = np.uint32(packed[at + 2]) | np.uint32(packed[at + 3]) << np.uint32(8)
    return np.uint32(low | high << np.uint32(16))


@kernel
def shifted_levels(values: Lanes, d: np.float32, shift: np.float32, top: np.int32, levels: NDArray[np.uint8]) -> None:
    """Levels trunc(x / d + shift), at most `top`; all 0 where 1 / d is infinite."""
    inverse = F(1) / d if d != F(0) else F(0)
    if abs(inverse) == F(np.inf):
        levels[:] = 0
        return
    for i in range(BLOCK):
        level = np.int32(values[i] * inverse + shift)
        levels[i] = level if level < top else top
