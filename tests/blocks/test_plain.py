"""F32, F16 and BF16 hold the value itself, rounded to nearest, ties to even."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from blocks.checks import dequantized, quantized
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.simd import sixteen_bits

TINY, LARGEST = 2.0**-149, float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("F32", TINY, TINY),
        ("F32", -LARGEST, -LARGEST),
        ("F16", 1 + 2.0**-11, 1.0),  # a tie
        ("F16", 1 + 3 * 2.0**-11, 1 + 2.0**-9),  # a tie, the other way
        ("F16", 2.0**-25, 0.0),  # a tie with zero
        ("F16", -3 * 2.0**-25, -(2.0**-23)),  # a tie of subnormals
        ("F16", 65519.996, 65504.0),
        ("F16", 65520.0, np.inf),
        ("F16", -LARGEST, -np.inf),
        ("BF16", 1 + 2.0**-8, 1.0),  # a tie
        ("BF16", 1 + 3 * 2.0**-8, 1 + 2.0**-6),  # a tie, the other way
        ("BF16", TINY, 0.0),
        ("BF16", 2.0**-133, 2.0**-133),  # the smallest subnormal
        ("BF16", LARGEST, np.inf),
    ],
)
def test_rounding(name: str, value: float, stored: float) -> None:
    packed = quantized(BLOCK_TYPES[name], np.array([[value]], np.float32))
    assert dequantized(BLOCK_TYPES[name], packed).tolist() == [[stored]]


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zeros_keep_their_sign(name: str, zero: float) -> None:
    packed = quantized(BLOCK_TYPES[name], np.array([[zero]], np.float32))
    assert np.signbit(dequantized(BLOCK_TYPES[name], packed)[0, 0]) == np.signbit(zero)


@pytest.mark.parametrize(("name", "dtype"), [("F16", np.float16), ("BF16", ml_dtypes.bfloat16)])
def test_every_value_comes_back_unchanged(name: str, dtype: type[np.generic]) -> None:
    packed = np.arange(1 << 16, dtype="<u2").view(np.uint8).reshape(1, -1)
    values = dequantized(BLOCK_TYPES[name], packed)
    assert np.array_equal(values, packed.view(dtype).astype(np.float32), equal_nan=True)
    numbers = values[np.isfinite(values)].reshape(1, -1)
    assert np.array_equal(quantized(BLOCK_TYPES[name], numbers).view("<u2")[0], packed.view("<u2")[np.isfinite(values)])


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 63, 64, 100])
@pytest.mark.parametrize(("name", "dtype"), [("F32", np.float32), ("F16", np.float16), ("BF16", ml_dtypes.bfloat16)])
def test_any_number_of_values(name: str, dtype: type[np.generic], count: int) -> None:
    values = np.random.default_rng(count).standard_normal((1, count), dtype=np.float32)
    expected = values.astype(dtype)
    packed = quantized(BLOCK_TYPES[name], values)
    assert packed.tobytes() == expected.tobytes()
    assert np.array_equal(dequantized(BLOCK_TYPES[name], packed), expected.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "dtype", "dropped"), [("F16", np.float16, 13), ("BF16", ml_dtypes.bfloat16, 16)], ids=["F16", "BF16"]
)
def test_ties_and_their_neighbours(name: str, dtype: type[np.generic], dropped: int) -> None:
    """Every float32 whose dropped bits are just below, at or just above a half, or all equal."""
    kept = np.arange(0, 1 << 32, 1 << dropped, dtype=np.uint64)[:, None]
    half = 1 << dropped - 1
    bits = (kept + np.array([0, half - 1, half, half + 1, 2 * half - 1], np.uint64)).astype(np.uint32)
    values = bits.view(np.float32).reshape(1, -1)
    values = values[:, np.isfinite(values[0])]
    with np.errstate(over="ignore"):
        expected = values.astype(dtype)
    assert quantized(BLOCK_TYPES[name], values).tobytes() == expected.tobytes()


def test_subnormal_ties_of_f16() -> None:
    steps = np.arange(-4096, 4097, dtype=np.float32) * np.float32(2.0**-25)  # halves of float16's smallest step
    values = np.concatenate([np.nextafter(steps, np.float32(-1)), steps, np.nextafter(steps, np.float32(1))])
    packed = quantized(BLOCK_TYPES["F16"], values.reshape(1, -1))
    assert packed.tobytes() == values.astype(np.float16).tobytes()


WIDEN = {"F16": sixteen_bits.from_f16, "BF16": sixteen_bits.from_bf16}


@pytest.mark.parametrize("size", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("name", ["F16", "BF16", "F32"])
def test_what_is_not_finite_is_found_wherever_it_is(name, size):
    largest = {"F16": 0x7BFF, "BF16": 0x7F7F, "F32": 0x7F7FFFFF}[name]
    dtype = np.uint32 if name == "F32" else np.uint16
    top = dtype(1 << (31 if name == "F32" else 15))

    def finite(bits):
        if name == "F32":
            return sixteen_bits.is_finite(bits.view(np.float32))
        return WIDEN[name](bits, np.empty(size, np.float32))

    for sign in (dtype(0), top):
        assert finite(np.full(size, largest, dtype) | sign)
        for place in range(size):
            for bad in (largest + 1, largest + 2):
                bits = np.zeros(size, dtype)
                bits[place] = dtype(bad) | sign
                assert not finite(bits), (sign, place, bad)
