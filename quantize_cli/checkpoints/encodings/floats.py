"""Codes and scales as float32: what the bits of every small dtype mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: Numbers, float32.
Floats = NDArray[np.float32]

_BYTES = np.arange(256, dtype=np.uint8)


def _e4m3() -> Floats:
    """Return the values of E4M3: 4 bits of exponent with a bias of 7, no infinity; all other bits set is NaN."""
    exponents, mantissas = (_BYTES >> 3 & 15).astype(np.int32), (_BYTES & 7).astype(np.float32)
    values = np.where(
        exponents == 0, np.ldexp(mantissas, -9), np.ldexp(np.float32(8) + mantissas, np.maximum(exponents, 1) - 10)
    )
    values[_BYTES & 127 == 127] = np.nan
    return np.copysign(values, np.where(_BYTES < 128, 1, -1)).astype(np.float32)


def _e5m2() -> Floats:
    """Return the values of E5M2, which is the upper half of float16."""
    return (_BYTES.astype(np.uint16) << 8).view(np.float16).astype(np.float32)


def _e8m0() -> Floats:
    """Return the values of E8M0: powers of two with a bias of 127; all bits set is NaN."""
    values = np.ldexp(1.0, _BYTES.astype(np.int32) - 127)
    values[-1] = np.nan
    return values.astype(np.float32)


#: dtype of one byte -> the value of each code, float32[256].
TABLES: Mapping[str, Floats] = {
    "F8_E4M3": _e4m3(),
    "F8_E5M2": _e5m2(),
    "F8_E8M0": _e8m0(),
    "I8": _BYTES.view(np.int8).astype(np.float32),
}

#: dtypes whose numbers can be scales.
SCALE_DTYPES = ("F32", "BF16", "F16", "F8_E8M0")


def decoded(packed: NDArray[np.uint8], dtype: str) -> Floats:
    """Return numbers as float32, uint8[..., bytes of n numbers] -> float32[..., n]; a fresh array for one-byte codes.

    Args:
        packed: C-contiguous.
        dtype: One of `TABLES` or `SCALE_DTYPES`.
    """
    if dtype in TABLES:
        return np.take(TABLES[dtype], packed)
    if dtype == "BF16":
        return (packed.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return packed.view({"F32": "<f4", "F16": "<f2"}[dtype]).astype(np.float32, copy=False)
