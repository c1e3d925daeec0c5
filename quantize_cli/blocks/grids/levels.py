"""Levels that stand for 1, 3, 5 ..."""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.rounding import nearest_ints
from quantize_cli.simd.vector import Floats, Ints, clamped

F = np.float32
I = np.int32  # noqa: E741


@inner
def odd_levels(value: Floats, top: np.int32) -> Ints:
    """Compute the levels 0..top whose values 2 * level + 1 are nearest."""
    return clamped(nearest_ints(F(0.5) * (value - F(1))), I(0), top)
