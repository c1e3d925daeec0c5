"""The orders in which levels are packed, and back."""

from __future__ import annotations

from collections.abc import Sequence


def nibbles(levels: Sequence[int]) -> bytes:
    """The low 4 bits of an even number of levels: the first half in the low halves of the bytes."""
    half = len(levels) // 2
    return bytes((levels[i] & 15) | (levels[half + i] & 15) << 4 for i in range(half))


def from_nibbles(packed: bytes) -> list[int]:
    return [byte & 15 for byte in packed] + [byte >> 4 for byte in packed]


def pair_nibbles(levels: Sequence[int]) -> bytes:
    """The low 4 bits of 256 levels, every 64 of them packed for themselves."""
    return b"".join(nibbles(levels[start : start + 64]) for start in range(0, 256, 64))


def from_pair_nibbles(packed: bytes) -> list[int]:
    return [level for start in range(0, 128, 32) for level in from_nibbles(packed[start : start + 32])]


def two_bits(levels: Sequence[int]) -> bytes:
    """256 levels 0..3: each byte holds four that lie 32 apart, and 128 levels fill 32 bytes."""
    packed = bytearray(64)
    for i, level in enumerate(levels):
        packed[i // 128 * 32 + i % 32] |= level << i % 128 // 32 * 2
    return bytes(packed)


def from_two_bits(packed: bytes) -> list[int]:
    return [packed[i // 128 * 32 + i % 32] >> i % 128 // 32 * 2 & 3 for i in range(256)]


def planes(bits: Sequence[int]) -> bytes:
    """256 bits: byte l holds those of the elements l + 32 p at p."""
    packed = bytearray(32)
    for i, bit in enumerate(bits):
        packed[i % 32] |= bit << i // 32
    return bytes(packed)


def from_planes(packed: bytes) -> list[int]:
    return [packed[i % 32] >> i // 32 & 1 for i in range(256)]
