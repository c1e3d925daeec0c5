"""Arrays of float16 and bfloat16, as their bits, from and to float32, and a look for what is not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantize_cli.simd.compile import kernel
from quantize_cli.simd.half import from_halves, to_halves
from quantize_cli.simd.vector import (
    LANES,
    any_lane,
    bits_of,
    from_bits,
    load,
    load_shorts,
    nowhere,
    store,
    store_shorts,
)

Values: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.uint16]
I = np.int32  # noqa: E741
R = TypeVar("R")

# The kernels take at least LANES values. The last vector ends with the last value, and overlaps the one before it.


@kernel
def _to_f16(values: Values, out: Bits) -> None:
    for i in range(0, values.size, LANES):
        at = min(i, values.size - LANES)
        store_shorts(out, at, to_halves(load(values, at)))


@kernel
def _from_f16(halves: Bits, out: Values) -> bool:
    special = nowhere()
    for i in range(0, halves.size, LANES):
        at = min(i, halves.size - LANES)
        bits = load_shorts(halves, at)
        special = special | ((bits & I(0x7C00)) == I(0x7C00))
        store(out, at, from_halves(bits))
    return not any_lane(special)


@kernel
def _to_bf16(values: Values, out: Bits) -> None:
    for i in range(0, values.size, LANES):
        at = min(i, values.size - LANES)
        bits = bits_of(load(values, at))
        store_shorts(out, at, (bits + I(0x7FFF) + ((bits >> I(16)) & I(1))) >> I(16))


@kernel
def _from_bf16(halves: Bits, out: Values) -> bool:
    special = nowhere()
    for i in range(0, halves.size, LANES):
        at = min(i, halves.size - LANES)
        bits = load_shorts(halves, at)
        special = special | ((bits & I(0x7F80)) == I(0x7F80))
        store(out, at, from_bits(bits << I(16)))
    return not any_lane(special)


@kernel
def _is_finite(values: Values) -> bool:
    special = nowhere()
    for i in range(0, values.size, LANES):
        bits = bits_of(load(values, min(i, values.size - LANES)))
        special = special | ((bits & I(0x7F800000)) == I(0x7F800000))
    return not any_lane(special)


def _convert(convert: Callable[[Any, Any], R], source: NDArray[Any], out: NDArray[Any]) -> R:
    if source.size >= LANES:
        return convert(source, out)
    padded, converted = np.zeros(LANES, source.dtype), np.empty(LANES, out.dtype)
    padded[: source.size] = source
    result = convert(padded, converted)
    out[:] = converted[: source.size]
    return result


def to_f16(values: Values, out: Bits) -> None:
    """Round float32[n], none of them NaN, to out, the bits of float16[n]: ties to even, infinity beyond the range."""
    _convert(_to_f16, values, out)


def from_f16(halves: Bits, out: Values) -> bool:
    """Convert the bits of float16[n] to out, float32[n], exactly; tell whether all are finite."""
    return _convert(_from_f16, halves, out)


def to_bf16(values: Values, out: Bits) -> None:
    """Round float32[n], none of them NaN, to out, the bits of bfloat16[n]: ties to even, infinity beyond the range."""
    _convert(_to_bf16, values, out)


def from_bf16(halves: Bits, out: Values) -> bool:
    """Convert the bits of bfloat16[n] to out, float32[n], exactly; tell whether all are finite."""
    return _convert(_from_bf16, halves, out)


def is_finite(values: Values) -> bool:
    """Tell whether all of float32[n] are finite; `np.isfinite` takes ten times as long."""
    return _is_finite(values) if values.size >= LANES else bool(np.isfinite(values).all())
