"""Vectors from and to arrays, as NumPy does it: the meaning that `compiled.py` keeps to.

Indices are neither wrapped nor checked: a vector is read or written where the caller knows that its lanes are. Every
array is one-dimensional and C-contiguous.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.simd.vector.shape import LANES, NARROW, SUMMED, TILE, Doubles, Floats, Ints, Mask

_CRUMB_SHIFTS = np.array([0, 2, 4, 6], np.int32)


def load(values: NDArray[np.float32], start: int) -> Floats:
    """Read values[start : start + LANES]."""
    return values[start : start + LANES].copy()


def store(values: NDArray[np.float32], start: int, vector: Floats) -> None:
    """Write values[start : start + LANES]."""
    values[start : start + LANES] = vector


def load_summed(values: NDArray[np.float32], start: int) -> Floats:
    """Read values[start : start + SUMMED]."""
    return values[start : start + SUMMED].copy()


def load_doubles(values: NDArray[np.float64], start: int) -> Doubles:
    """Read values[start : start + SUMMED]."""
    return values[start : start + SUMMED].copy()


def store_doubles(values: NDArray[np.float64], start: int, vector: Doubles) -> None:
    """Write values[start : start + SUMMED]."""
    values[start : start + SUMMED] = vector


def load_ints(values: NDArray[np.int32], start: int) -> Ints:
    """Read values[start : start + LANES]."""
    return values[start : start + LANES].copy()


def store_ints(values: NDArray[np.int32], start: int, vector: Ints) -> None:
    """Write values[start : start + LANES]."""
    values[start : start + LANES] = vector


def load_narrow(values: NDArray[np.float32], start: int) -> Floats:
    """Read values[start : start + NARROW]."""
    return values[start : start + NARROW].copy()


def store_narrow(values: NDArray[np.float32], start: int, vector: Floats) -> None:
    """Write values[start : start + NARROW], a narrow vector."""
    values[start : start + NARROW] = vector


def store_narrow_ints(values: NDArray[np.int32], start: int, vector: Ints) -> None:
    """Write values[start : start + NARROW], a narrow vector."""
    values[start : start + NARROW] = vector


def move_transposed(values: NDArray[np.float32], start: int, stride: int, lanes: NDArray[np.float32], at: int) -> None:
    """Move TILE rows of TILE values, `stride` apart, to as many vectors, of which row r fills lane at + r."""
    for i in range(TILE):
        lanes[at + i * LANES : at + i * LANES + TILE] = values[start + i : start + i + TILE * stride : stride]


def load_shorts(values: NDArray[np.uint16], start: int) -> Ints:
    """Read values[start : start + LANES], zero-extended."""
    return values[start : start + LANES].astype(np.int32)


def store_shorts(values: NDArray[np.uint16], start: int, vector: Ints) -> None:
    """Write the low 16 bits of each lane."""
    values[start : start + LANES] = (vector & 0xFFFF).astype(np.uint16)


def load_bytes(values: NDArray[np.uint8], start: int) -> Ints:
    """Read values[start : start + LANES], zero-extended."""
    return values[start : start + LANES].astype(np.int32)


def store_bytes(values: NDArray[np.uint8], start: int, vector: Ints) -> None:
    """Write the low byte of each lane."""
    values[start : start + LANES] = (vector & 0xFF).astype(np.uint8)


def load_nibbles(values: NDArray[np.uint8], start: int) -> Ints:
    """Read LANES / 2 bytes: their low 4 bits come into the first half of the lanes, the high ones into the second."""
    packed = values[start : start + LANES // 2].astype(np.int32)
    return np.concatenate([packed & 15, packed >> 4])


def store_nibbles(values: NDArray[np.uint8], start: int, vector: Ints) -> None:
    """Write the inverse of `load_nibbles`; every lane must be 0..15."""
    low, high = np.split(vector, 2)
    values[start : start + LANES // 2] = (low | high << 4).astype(np.uint8)


def load_crumbs(values: NDArray[np.uint8], start: int) -> Ints:
    """Read LANES / 4 bytes: the pairs of bits of each, the lowest first, come into four neighbouring lanes."""
    packed = values[start : start + LANES // 4].astype(np.int32)
    return (packed[:, None] >> _CRUMB_SHIFTS & 3).reshape(LANES)


def store_crumbs(values: NDArray[np.uint8], start: int, vector: Ints) -> None:
    """Write the inverse of `load_crumbs`; every lane must be 0..3."""
    shifted = vector.reshape(-1, 4) << _CRUMB_SHIFTS
    values[start : start + LANES // 4] = np.bitwise_or.reduce(shifted, axis=1).astype(np.uint8)


def load_mask(values: NDArray[np.uint8], start: int) -> Mask:
    """Read LANES / 8 bytes: a bit a lane, the lowest first."""
    return np.unpackbits(values[start : start + LANES // 8], bitorder="little").astype(np.bool_)


def store_mask(values: NDArray[np.uint8], start: int, mask: Mask) -> None:
    """Write the inverse of `load_mask`."""
    values[start : start + LANES // 8] = np.packbits(mask, bitorder="little")


def gather(values: NDArray[np.float32], places: Ints) -> Floats:
    """Read values[places]."""
    return values[places]


def gather_ints(values: NDArray[np.int32], places: Ints) -> Ints:
    """Read values[places]."""
    return values[places]
