"""Levels of 4 or 5 bits in blocks of 32 weights: one vector is one block."""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Packed
from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import (
    Floats,
    Ints,
    load_mask,
    load_nibbles,
    magnitude,
    select,
    store_mask,
    store_nibbles,
    to_ints,
)

F = np.float32
I = np.int32  # noqa: E741
BLOCK = 32


@inner
def finite_inverses(d: Floats) -> Floats:
    """Compute 1 / d in each lane, or 0 where that is infinite."""
    inverse = F(1) / d
    finite: Floats = select(magnitude(inverse) < F(np.inf), inverse, F(0))
    return finite


@inner
def levels_around(vector: Floats, inverse: np.float32, shift: np.float32, middle: np.int32) -> Ints:
    """Compute levels trunc(x * inverse + shift), at most 2 * middle - 1."""
    levels = to_ints(vector * inverse + shift)
    top = I(2 * middle - 1)
    capped: Ints = select(levels < top, levels, top)
    return capped


@inner
def levels_above(vector: Floats, low: np.float32, inverse: np.float32, top: np.int32) -> Ints:
    """Compute levels trunc((x - low) * inverse + 0.5), 0..top; all are 0 where x - low is infinite."""
    scaled = (vector - low) * inverse + F(0.5)
    return to_ints(select(scaled < F(top + 1), scaled, F(0)))


@inner
def store_levels(out: Packed, at: int, levels: Ints, bits: int) -> None:
    """Write 32 levels of 4 or 5 bits to 16 or 20 bytes.

    The fifth bits come first, that of level i at bit i of 32. Then byte i of 16 holds the low 4 bits of level i and, in
    its high half, of level i + 16.
    """
    if bits == 5:
        store_mask(out, at, levels > I(15))
        at += 4
    store_nibbles(out, at, levels & I(15))


@inner
def load_levels(packed: Packed, at: int, bits: int) -> Ints:
    """Read the inverse of `store_levels`."""
    if bits == 4:
        return load_nibbles(packed, at)
    low = load_nibbles(packed, at + 4)
    levels: Ints = select(load_mask(packed, at), low | I(16), low)
    return levels
