"""Arrays of float16 and bfloat16, as their bits, from and to float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.simd.compile import kernel
from quantize_cli.simd.half import from_halves, to_halves
from quantize_cli.simd.vector import LANES, bits_of, from_bits, load, load_shorts, store, store_shorts

Values: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.uint16]
I = np.int32  # noqa: E741

# The kernels take at least LANES values. The last vector ends with the last value, and overlaps the one before it.


@kernel
def _to_f16(values: Values, out: Bits) -> None:
    for i in range(0, values.size, LANES):
        at = min(i, values.size - LANES)
        store_shorts(out, at, to_halves(load(values, at)))


@kernel
def _from_f16(halves: Bits, out: Values) -> None:
    for i in range(0, halves.size, LANES):
        at = min(i, halves.size - LANES)
        store(out, at, from_halves(load_shorts(halves, at)))


@kernel
def _to_bf16(values: Values, out: Bits) -> None:
    for i in range(0, values.size, LANES):
        at = min(i, values.size - LANES)
        bits = bits_of(load(values, at))
        store_shorts(out, at, (bits + I(0x7FFF) + ((bits >> I(16)) & I(1))) >> I(16))


@kernel
def _from_bf16(halves: Bits, out: Values) -> None:
    for i in range(0, halves.size, LANES):
        at = min(i, halves.size - LANES)
        store(out, at, from_bits(load_shorts(halves, at) << I(16)))


def _convert(convert: Callable[[Any, Any], None], source: NDArray[Any], out: NDArray[Any]) -> None:
    if source.size >= LANES:
        convert(source, out)
    else:
        padded, converted = np.zeros(LANES, source.dtype), np.empty(LANES, out.dtype)
        padded[: source.size] = source
        convert(padded, converted)
        out[:] = converted[: source.size]


def to_f16(values: Values, out: Bits) -> None:
    """Round float32[n], none of them NaN, to out, the bits of float16[n]: ties to even, infinity beyond the range."""
    _convert(_to_f16, values, out)


def from_f16(halves: Bits, out: Values) -> None:
    """Convert the bits of float16[n] to out, float32[n], exactly."""
    _convert(_from_f16, halves, out)


def to_bf16(values: Values, out: Bits) -> None:
    """Round float32[n], none of them NaN, to out, the bits of bfloat16[n]: ties to even, infinity beyond the range."""
    _convert(_to_bf16, values, out)


def from_bf16(halves: Bits, out: Values) -> None:
    """Convert the bits of bfloat16[n] to out, float32[n], exactly."""
    _convert(_from_bf16, halves, out)
