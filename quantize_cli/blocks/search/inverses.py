"""Inverses of scales: the reference treats scales of which there is none in two ways."""

from __future__ import annotations

import numpy as np

from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import Floats, select

F = np.float32


@inner
def finite_inverse(scale: np.float32) -> np.float32:
    """Compute 1 / scale, or 0 where that is not finite: the reference's conversion of an infinite level gives 0 too."""
    inverse = F(1) / scale
    return F(inverse) if abs(inverse) < F(np.inf) else F(0)


@inner
def inverse_unless_zero(scale: Floats) -> Floats:
    """Compute 1 / scale in each lane, or 0 where the scale is 0; that of a tiny scale may be infinite."""
    inverse: Floats = select(scale != F(0), F(1) / scale, F(0))
    return inverse
