"""float16 in integer arithmetic is NumPy's float16; the rounding trick is the reference's integer formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import scalars

from quantize_cli.simd.half import from_half, load_half, store_half, to_half
from quantize_cli.simd.rounding import nearest_int

Loop = Callable[[NDArray[Any], NDArray[Any]], None]


def _over_arrays(function: Callable[..., Any]) -> Loop:
    """A compiled loop over a compiled function of one scalar."""

    @numba.njit
    def loop(values: NDArray[Any], out: NDArray[Any]) -> None:
        for i in range(values.size):
            out[i] = function(values[i])

    return cast("Loop", loop)


to_halves = _over_arrays(to_half)
from_halves = _over_arrays(from_half)
nearest_ints = _over_arrays(nearest_int)

ALL_HALVES = np.arange(1 << 16, dtype=np.uint16)


def _neighbourhood(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each value and the float32 just below and just above."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate(
            [np.nextafter(values, np.float32(-np.inf)), values, np.nextafter(values, np.float32(np.inf))]
        )


def _finite_halves() -> NDArray[np.float32]:
    halves = ALL_HALVES.view(np.float16).astype(np.float32)
    return halves[np.isfinite(halves)]


def _half_ways() -> NDArray[np.float32]:
    """Exactly between each two neighbouring halves: ties."""
    halves = np.unique(_finite_halves())
    return (halves[1:] + halves[:-1]) / np.float32(2)


def _around_the_limits() -> NDArray[np.float32]:
    powers = np.float32(2) ** np.array([-149, -126, -26, -25, -24, -15, -14, 0, 15, 16, 127], np.float32)
    limits = np.array([0, 65503, 65504, 65519, 65520, 65535, 65536, np.finfo(np.float32).max, np.inf], np.float32)
    return np.concatenate([powers, limits, -powers, -limits])


def _bit_patterns() -> NDArray[np.float32]:
    return np.random.default_rng(0).integers(1 << 32, size=1 << 20, dtype=np.uint32).view(np.float32)


def _near_half_range() -> NDArray[np.float32]:
    """Random values over the whole range of float16, subnormals included."""
    rng = np.random.default_rng(1)
    return np.ldexp(rng.standard_normal(1 << 19), rng.integers(-30, 18, 1 << 19)).astype(np.float32)


@pytest.mark.parametrize(
    "make",
    [
        lambda: _neighbourhood(_finite_halves()),
        lambda: _neighbourhood(_half_ways()),
        lambda: _neighbourhood(_around_the_limits()),
        _bit_patterns,
        _near_half_range,
    ],
    ids=["halves", "ties", "limits", "bit patterns", "half range"],
)
def test_to_half_is_numpy_s(make: Callable[[], NDArray[np.float32]]) -> None:
    values = make()
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(np.float16)
    halves = np.empty(values.size, np.uint16)
    to_halves(values, halves)
    number = ~np.isnan(values)
    assert np.array_equal(halves[number], expected.view(np.uint16)[number])
    sign = values.view(np.uint32)[~number] >> 16 & 0x8000
    assert np.array_equal(halves[~number], sign | 0x7E00)


def test_from_half_is_numpy_s() -> None:
    values = np.empty(ALL_HALVES.size, np.float32)
    from_halves(ALL_HALVES, values)
    expected = ALL_HALVES.view(np.float16).astype(np.float32)
    number = ~np.isnan(expected)
    assert np.array_equal(values.view(np.uint32)[number], expected.view(np.uint32)[number])
    assert np.isnan(values[~number]).all()


def test_there_and_back() -> None:
    values = np.empty(ALL_HALVES.size, np.float32)
    halves = np.empty(ALL_HALVES.size, np.uint16)
    from_halves(ALL_HALVES, values)
    to_halves(values, halves)
    number = ~np.isnan(values)
    assert np.array_equal(halves[number], ALL_HALVES[number])


def test_stored_little_endian() -> None:
    block = np.zeros(4, np.uint8)
    store_half(block, 1, np.uint16(0xC123))
    assert block.tolist() == [0, 0x23, 0xC1, 0]
    assert load_half(block, 1) == np.array([0xC123], np.uint16).view(np.float16)[0]


def test_nearest_int_is_rint_where_it_may_be() -> None:
    rng = np.random.default_rng(2)
    halves = np.arange(-5000, 5000, dtype=np.float32) / np.float32(2)
    large = rng.uniform(-4194303, 4194303, 1 << 18).astype(np.float32)
    values = np.concatenate([_neighbourhood(halves), large, np.array([0, -0.0, 4194303, -4194303], np.float32)])
    integers = np.empty(values.size, np.int32)
    nearest_ints(values, integers)
    assert np.array_equal(integers, np.rint(values).astype(np.int32))


def test_nearest_int_is_the_reference_s_for_every_other_float() -> None:
    with np.errstate(all="ignore"):
        values = np.concatenate([_bit_patterns()[: 1 << 14], _around_the_limits(), np.array([np.nan], np.float32)])
        expected = [scalars.nearest_int(value) for value in values]
    integers = np.empty(values.size, np.int32)
    nearest_ints(values, integers)
    assert integers.tolist() == expected
