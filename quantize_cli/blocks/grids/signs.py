"""Eight signs in seven bits: the number of minus signs is even."""

from __future__ import annotations

from quantize_cli.simd.compile import inner


@inner
def parity(bits: int) -> int:
    """Count the set bits 0..7, modulo 2."""
    bits ^= bits >> 4
    bits ^= bits >> 2
    return (bits ^ bits >> 1) & 1


@inner
def eight_signs(seven: int) -> int:
    """Complete seven signs by the eighth, bit 7."""
    return seven | parity(seven) << 7
