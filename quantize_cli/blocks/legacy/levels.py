"""Levels of 4 or 5 bits in blocks of 32 weights: one vector is one block."""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Packed
from quantize_cli.blocks.search.inverses import finite_inverse
from quantize_cli.simd.compile import inner
from quantize_cli.simd.vector import (
    Floats,
    Ints,
    load_mask,
    load_nibbles,
    select,
    store_mask,
    store_nibbles,
    to_ints,
)

F = np.float32
I = np.int32  # noqa: E741
BLOCK = 32


@inner
def levels_around(vector: Floats, d: np.float32, middle: np.int32) -> Ints:
    """Compute levels trunc(x / d + middle + 0.5), at most 2 * middle - 1; all are 0 where 1 / d is infinite."""
    inverse = finite_inverse(d)
    shift = F(0) if d != F(0) and inverse == F(0) else F(middle) + F(0.5)
    top = I(2 * middle - 1)
    levels = to_ints(vector * inverse + shift)
    capped: Ints = select(levels < top, levels, top)
    return capped


@inner
def levels_above(vector: Floats, low: np.float32, d: np.float32, top: np.int32) -> Ints:
    """Compute levels trunc((x - low) / d + 0.5), 0..top; all are 0 where 1 / d, or d, is infinite."""
    scaled = (vector - low) * finite_inverse(d) + F(0.5)
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
