"""Vectors compiled are vectors in NumPy: every function and operator of `simd/vector/`, on values of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantize_cli.simd import vector
from quantize_cli.simd.compile import kernel
from quantize_cli.simd.vector import (
    LANES,
    SUMMED,
    any_lane,
    bits_of,
    clamped,
    first_lane,
    from_bits,
    gather,
    gather_ints,
    lane_bits,
    lane_numbers,
    largest,
    load,
    load_bytes,
    load_crumbs,
    load_doubles,
    load_ints,
    load_mask,
    load_narrow,
    load_nibbles,
    load_shorts,
    load_summed,
    magnitude,
    mask_of,
    max_lane,
    middle_swapped,
    min_lane,
    move_transposed,
    narrow,
    nearest,
    nowhere,
    select,
    smallest,
    splat,
    splat_int,
    splat_summed,
    square_root,
    store,
    store_bytes,
    store_crumbs,
    store_doubles,
    store_ints,
    store_mask,
    store_narrow,
    store_narrow_ints,
    store_nibbles,
    store_shorts,
    to_floats,
    to_ints,
    wide_magnitude,
    widened,
)

F = np.float32
I = np.int32  # noqa: E741
#: Vectors that a kernel below may write.
ROOM = 40


def _float_values() -> NDArray[np.float32]:
    """Six vectors and a bit: ordinary, tiny, huge, ties, signed zeros, infinities, NaN."""
    rng = np.random.default_rng(0)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 3e38, -3e38, 0.5, 1.5, -2.5, 2.0**23 + 1, 1.0]
    ordinary = rng.standard_normal(3 * LANES)
    scattered = rng.standard_normal(2 * LANES) * 10.0 ** rng.uniform(-30, 30, 2 * LANES)
    return np.concatenate([ordinary, scattered, rng.choice(special, 2 * LANES)]).astype(F)


FLOATS = _float_values()
INTS = np.random.default_rng(1).integers(-(2**31), 2**31, 7 * LANES).astype(I)
SHORTS = np.random.default_rng(3).integers(0, 1 << 16, 4 * LANES).astype(np.uint16)
BYTES = np.random.default_rng(2).integers(0, 256, 4 * LANES).astype(np.uint8)


@kernel
def _float_operators(values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    a, b, scalar = load(values, 0), load(values, LANES), values[2 * LANES]
    store(out, 0, a + b)
    store(out, LANES, a + scalar)
    store(out, 2 * LANES, scalar + a)
    store(out, 3 * LANES, a - b)
    store(out, 4 * LANES, a - scalar)
    store(out, 5 * LANES, scalar - a)
    store(out, 6 * LANES, a * b)
    store(out, 7 * LANES, a * scalar)
    store(out, 8 * LANES, scalar * a)
    store(out, 9 * LANES, a / b)
    store(out, 10 * LANES, a / scalar)
    store(out, 11 * LANES, scalar / a)
    store(out, 12 * LANES, -a)
    total = a + b
    total += a
    total -= b
    total *= b
    total /= a
    store(out, 13 * LANES, total)
    store(out, 14 * LANES, a * b + a)  # rounded twice, never contracted


@kernel
def _float_functions(values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    a, b, scalar = load(values, 0), load(values, LANES), values[2 * LANES]
    store(out, 0, nearest(a))
    store(out, LANES, nearest(a * F(7)))
    store(out, 2 * LANES, clamped(a, scalar, F(0.5)))
    store(out, 3 * LANES, magnitude(b))
    store(out, 4 * LANES, square_root(magnitude(a)))
    store(out, 5 * LANES, splat(scalar))
    store(out, 6 * LANES, from_bits(bits_of(a) ^ I(1)))


@kernel
def _comparisons(values: NDArray[np.float32], ints: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    a, b, scalar = load(values, 0), load(values, LANES), values[2 * LANES]
    one, other = splat_int(I(1)), I(0)
    store_ints(out, 0, select(a < b, one, other))
    store_ints(out, LANES, select(a <= b, one, other))
    store_ints(out, 2 * LANES, select(a > b, one, other))
    store_ints(out, 3 * LANES, select(a >= b, one, other))
    store_ints(out, 4 * LANES, select(a == b, one, other))
    store_ints(out, 5 * LANES, select(a != b, one, other))
    store_ints(out, 6 * LANES, select(a < scalar, one, other))
    store_ints(out, 7 * LANES, select(scalar <= a, one, other))
    store_ints(out, 8 * LANES, select(a != scalar, one, other))
    p, q, whole = load_ints(ints, 0), load_ints(ints, LANES), ints[2 * LANES]
    store_ints(out, 9 * LANES, select(p < q, one, other))
    store_ints(out, 10 * LANES, select(p <= q, one, other))
    store_ints(out, 11 * LANES, select(p > q, one, other))
    store_ints(out, 12 * LANES, select(p >= q, one, other))
    store_ints(out, 13 * LANES, select(p & I(1) == q & I(1), one, other))
    store_ints(out, 14 * LANES, select(p & I(1) != q & I(1), one, other))
    store_ints(out, 15 * LANES, select(p < whole, one, other))
    store_ints(out, 16 * LANES, select(whole != p, one, other))


@kernel
def _masks(values: NDArray[np.float32], out: NDArray[np.int32]) -> None:
    a, b, scalar = load(values, 0), load(values, LANES), values[2 * LANES]
    p, q = a < b, a < F(0)
    numbers = lane_numbers()
    store_ints(out, 0, select(p & q, numbers, I(99)))
    store_ints(out, LANES, select(p | q, I(99), numbers))
    store_ints(out, 2 * LANES, select(p ^ q, numbers, -numbers))
    store_ints(out, 3 * LANES, select(~p, numbers, I(99)))
    store_ints(out, 4 * LANES, select(select(p, q, nowhere()), numbers, I(99)))
    store_ints(out, 5 * LANES, bits_of(select(p, a, b)))
    store_ints(out, 6 * LANES, bits_of(select(p, a, scalar)))
    store_ints(out, 7 * LANES, bits_of(select(p, scalar, b)))
    out[8 * LANES] = any_lane(p)
    out[8 * LANES + 1] = any_lane(nowhere())
    out[8 * LANES + 2] = any_lane(numbers == I(LANES - 1))
    out[8 * LANES + 3] = any_lane(numbers == I(LANES))


@kernel
def _int_operators(ints: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    a, b, scalar = load_ints(ints, 0), load_ints(ints, LANES), ints[2 * LANES]
    shift = b & I(31)
    store_ints(out, 0, a + b)
    store_ints(out, LANES, scalar + a)
    store_ints(out, 2 * LANES, a - b)
    store_ints(out, 3 * LANES, scalar - a)
    store_ints(out, 4 * LANES, a * b)
    store_ints(out, 5 * LANES, a * scalar)
    store_ints(out, 6 * LANES, a & b)
    store_ints(out, 7 * LANES, a | scalar)
    store_ints(out, 8 * LANES, scalar ^ a)
    store_ints(out, 9 * LANES, a << shift)
    store_ints(out, 10 * LANES, a >> shift)
    store_ints(out, 11 * LANES, a << I(5))
    store_ints(out, 12 * LANES, a >> I(5))
    store_ints(out, 13 * LANES, I(-77) >> shift)
    store_ints(out, 14 * LANES, -a)
    store_ints(out, 15 * LANES, ~a)
    store_ints(out, 19 * LANES, clamped(a, scalar, I(1 << 30)))
    total = a + b
    total += a
    total -= scalar
    total *= b
    store_ints(out, 16 * LANES, total)
    total &= a
    total |= b
    total ^= scalar
    store_ints(out, 17 * LANES, total)
    total <<= I(3)
    total >>= shift
    store_ints(out, 18 * LANES, total)


@kernel
def _conversions(values: NDArray[np.float32], ints: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    a = load(values, 0)
    numbers = select(magnitude(a) < F(1e6), a * F(100), F(-7.9))
    store(out, 0, to_floats(to_ints(numbers)))
    store(out, LANES, to_floats(load_ints(ints, 0)))
    store(out, 2 * LANES, from_bits(bits_of(a)))


@kernel
def _double_operators(values: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    p, q = load_summed(values, 0), load_summed(values, LANES)
    a, b = widened(p), widened(q)
    store_doubles(out, 0, a + b)
    store_doubles(out, SUMMED, a - b)
    store_doubles(out, 2 * SUMMED, a * b)
    total = a * b
    total += a
    total -= b
    total *= a
    store_doubles(out, 3 * SUMMED, load_doubles(out, 2 * SUMMED) + total)
    store_doubles(out, 4 * SUMMED, select(a < b, a, b))
    store_doubles(out, 5 * SUMMED, select(a > b, wide_magnitude(a), b))
    store_doubles(out, 6 * SUMMED, widened(select((p > q) | (p < splat_summed(F(0))), magnitude(p), p * q - q + p)))
    out[7 * SUMMED] = any_lane(p > q)
    out[7 * SUMMED + 1] = any_lane(p > p)


@kernel
def _places(values: NDArray[np.float32], ints: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """Reads and writes that are not aligned, from arrays and from parts of them."""
    store(out, 3, load(values, 5))
    part = values[7:]
    store(out[2 * LANES + 1 :], 2, load(part[1:], 3))
    places = lane_numbers() * I(3) & I(63)
    store(out, 4 * LANES, gather(values, places))
    store(out, 5 * LANES, gather(part, places ^ I(1)))
    store(out, 6 * LANES, to_floats(gather_ints(ints[3:], places)))
    move_transposed(part, 3, 11, out, 8 * LANES + 5)


@kernel
def _bytes(values: NDArray[np.uint8], ints: NDArray[np.int32], out: NDArray[np.uint8]) -> None:
    store_bytes(out, 1, load_bytes(values, 5) + I(300))
    store_bytes(out[LANES:], 3, load_ints(ints, 1))  # the low byte of each
    store_bytes(out, 3 * LANES, load_bytes(values[2:], 1) >> I(4))


@kernel
def _fields(values: NDArray[np.uint8], shorts: NDArray[np.uint16], out: NDArray[np.uint8]) -> None:
    """Lanes of fewer bits than a byte, and of two bytes."""
    store_bytes(out, 0, load_nibbles(values, 3))
    store_nibbles(out, LANES, load_bytes(values, 1) & I(15))
    store_bytes(out, 2 * LANES, load_crumbs(values, 5))
    store_crumbs(out, 3 * LANES, load_bytes(values, 2) & I(3))
    mask = load_mask(values, 7)
    store_bytes(out, 4 * LANES, select(mask, I(7), splat_int(I(9))))
    store_mask(out, 5 * LANES, mask)
    store_bytes(out, 6 * LANES, load_shorts(shorts, 3) >> I(8))


@kernel
def _shorts(ints: NDArray[np.int32], out: NDArray[np.uint16]) -> None:
    store_shorts(out, 1, load_ints(ints, 2))  # the low half of each


@kernel
def _reductions(values: NDArray[np.float32], ints: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    """One number of all lanes."""
    a, b = load(values, 0), load_ints(ints, 0)
    some = load_ints(ints, LANES) > b
    out[0] = max_lane(b)
    out[1] = min_lane(b)
    out[2] = lane_bits(some)
    out[3] = first_lane(some | (b >= I(0)) | (b < I(0)))
    out[4] = smallest(to_floats(b)) * F(2.0**-20)
    out[5] = lane_bits(mask_of(ints[0]))
    out[6] = lane_bits(a < F(0))
    out[7] = largest(to_floats(b)) * F(2.0**-20)


@kernel
def _narrow_vectors(values: NDArray[np.float32], ints: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    a, b = narrow(load(values, 0)), load_narrow(values, LANES)
    swapped = middle_swapped(load_ints(ints, 0))
    store_ints(out, 0, swapped)
    other = narrow(load_ints(ints, 3))
    store_narrow_ints(out, LANES, select(a < b, narrow(swapped), other))
    store_narrow_ints(out, 2 * LANES, select(a * b - a + b > b, narrow(swapped), other))


@kernel
def _narrow_floats(values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    a, b = load_narrow(values, 1), load_narrow(values, LANES)
    c = a * b
    c += a
    store_narrow(out, LANES, select(c < b, a - b, c))


CASES: dict[str, tuple[Callable[..., None], tuple[NDArray[Any], ...], type[np.generic]]] = {
    "operators of floats": (_float_operators, (FLOATS,), F),
    "functions of floats": (_float_functions, (FLOATS,), F),
    "comparisons": (_comparisons, (FLOATS, INTS), I),
    "masks": (_masks, (FLOATS,), I),
    "operators of ints": (_int_operators, (INTS,), I),
    "conversions": (_conversions, (FLOATS, INTS), F),
    "operators of doubles": (_double_operators, (FLOATS,), np.float64),
    "places": (_places, (FLOATS, INTS), F),
    "bytes": (_bytes, (BYTES, INTS), np.uint8),
    "fields": (_fields, (BYTES, SHORTS), np.uint8),
    "shorts": (_shorts, (INTS,), np.uint16),
    "reductions": (_reductions, (FLOATS, INTS), np.int64),
    "narrow vectors": (_narrow_vectors, (FLOATS, INTS), I),
    "narrow floats": (_narrow_floats, (FLOATS,), F),
}


@pytest.mark.parametrize("name", CASES)
def test_compiled_vectors_are_numpy_s(name: str) -> None:
    function, inputs, kind = CASES[name]
    for start in range(0, LANES * (4 if kind is not np.uint8 else 1), LANES // 2):
        parts = [values[start:] for values in inputs]
        compiled, expected = np.zeros(ROOM * LANES, kind), np.zeros(ROOM * LANES, kind)
        function(*parts, compiled)
        with np.errstate(all="ignore"):
            function.py_func(*parts, expected)  # type: ignore[attr-defined]
        wrong = ~((compiled == expected) | (compiled != compiled) & (expected != expected))
        assert not wrong.any(), f"vectors {sorted(set(np.flatnonzero(wrong) // LANES))} from {start} on"
        assert np.array_equal(np.signbit(compiled[compiled == 0]), np.signbit(expected[compiled == 0]))


def test_every_function_is_tried() -> None:
    """A function that joins `simd/vector/` joins a kernel above."""
    public = {name for name in vector.__all__ if isinstance(getattr(vector, name), FunctionType)}
    tried = {name for function, _, _ in CASES.values() for name in function.py_func.__code__.co_names}  # type: ignore[attr-defined]
    assert len(public) > 40
    assert public <= tried, f"not tried: {sorted(public - tried)}"
