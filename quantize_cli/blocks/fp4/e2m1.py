"""4-bit floats (E2M1), doubled: what MXFP4 and NVFP4 scale; bit 3 of a level is the sign."""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import Floats, Ints, magnitude, select, splat_int, to_floats

F = np.float32
I = np.int32  # noqa: E741
#: The values of the levels 1 to 7; that of level 0 is 0.
VALUES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
#: Half way between two neighbours.
MIDDLES = (0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0)


@inner
def _by_distance(size: Floats, d: Floats) -> Ints:
    """Find levels 0..7 by differences, rounded to float32, as in the reference (ggml-quants.c, `best_index_mxfp4`)."""
    best = size
    levels = splat_int(I(0))
    for level in range(1, 8):
        distance = magnitude(F(VALUES[level - 1]) * d - size)
        better = distance < best
        best = select(better, distance, best)
        levels = select(better, I(level), levels)
    return levels


@inner
def _by_middles(size: Floats, d: Floats) -> Ints:
    """Find the same where rounding makes no two differences equal: that to the nearest level is then exact."""
    levels = splat_int(I(0))
    for level in range(1, 8):
        levels = select(size > F(MIDDLES[level - 1]) * d, I(level), levels)
    return levels


@inner
def fp4_levels(vector: Floats, d: Floats, in_reach: bool) -> Ints:
    """Find the levels 0..15 whose values times d are nearest; of several that are equally near, the lowest.

    No negative zero, and no level of the other sign, ever wins.

    Args:
        vector: the values.
        d: their scales, numbers of at most 4 significant bits.
        in_reach: whether 12 d is finite, and no value is larger than 2^22 d.
    """
    size = magnitude(vector)
    levels = _by_middles(size, d) if in_reach else _by_distance(size, d)
    signed: Ints = select((vector < F(0)) & (levels > I(0)), levels | I(8), levels)
    return signed


@inner
def fp4_values(levels: Ints) -> Floats:
    """Compute the doubled values of levels 0..15; that of level 8 is +0, as in the reference's table of integers."""
    size = levels & I(7)
    value = select(size > I(4), (size << I(1)) - I(4), size)
    value = select(size == I(7), I(12), value)
    return to_floats(select(levels > I(7), -value, value))
