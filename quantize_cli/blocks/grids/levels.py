"""Levels that stand for 1, 3, 5 ..."""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.rounding import nearest_ints
from quantize_cli.simd.vector import Floats, Ints, bits_of, clamped, magnitude

F = np.float32
I = np.int32  # noqa: E741

#: Below this magnitude values are rounded exactly, however they are rounded.
BOUND = F(2.0**20)
#: Up to this distance from the value of its level a value is surely nearer to it than to any other: it is half a step,
#: less much more than the roundings of a difference can add up to.
SURE = F(0.9998)
#: 1.5 * 2^24: adding it rounds to an even number, half of which is in the low mantissa bits.
_MAGIC = F(25165824.0)


@inner
def odd_levels(value: Floats, top: np.int32) -> Ints:
    """Compute the levels 0..top whose values 2 * level + 1 are nearest."""
    return clamped(nearest_ints(F(0.5) * (value - F(1))), I(0), top)


@inner
def bounded_levels(value: Floats, top: np.int32) -> tuple[Ints, Floats]:
    """Do what `odd_levels` does for values below BOUND, and tell how far a value is from that of its level.

    Returns:
        The level in the low 16 bits, and anything in the others; and the distance, 0 for a value beyond the levels.
    """
    above = clamped(value - F(1), F(0), F(2) * F(top))
    rounded = above + _MAGIC
    return bits_of(rounded), magnitude(above - (rounded - _MAGIC))
