"""Values of tensors: the same float32 bits on every machine, drawn from the tensor's key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from golden.small_checkpoints import DTYPES, bell
from numpy.typing import NDArray

Array = NDArray[Any]
Fill = Callable[[str, tuple[int, ...], str], Array]

#: Largest distance, in units of the last place, of an exponential that A_LOG keeps from the number it rounds to.
SAFE_DISTANCE = 0.25


def normal(key: str, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw bell-shaped values of standard deviation 0.018."""
    return bell(key, shape)


def around_zero(key: str, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw the weights of a norm that adds one to them."""
    return bell(key, shape) * np.float32(8)


def around_one(key: str, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw the weights of a norm that uses them as they are."""
    return around_zero(key, shape, dtype) + np.float32(1)


def fine(fill: Fill) -> Fill:
    """Return a fill in float64, with 20 bits more than those of `fill`, so that float32 must round its values."""

    def filled(key: str, shape: tuple[int, ...], dtype: str) -> Array:
        return fill(key, shape, dtype).astype(np.float64) + bell(f"{key}/fine", shape).astype(np.float64) * 2.0**-20

    return filled


def decay_logarithm(key: str, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw values of [0, 3) whose exponential every good library rounds to the same number.

    The reference writes -exp(A_log) as torch computes it, and torch rounds about one value of a hundred to the other
    neighbour. It does so only where the exact result lies near the middle between two numbers, so values whose result
    lies within SAFE_DISTANCE of a number are kept. A float16 is exponentiated to a float16, others to a float32.
    """
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    raw = np.random.PCG64(seed).random_raw(64 * int(np.prod(shape)))
    drawn = ((raw >> np.uint64(40)).astype(np.float64) * (3 * 2.0**-24)).astype(DTYPES[dtype])
    exact = np.exp(drawn.astype(np.float64))
    rounded = exact.astype(np.float16 if dtype == "float16" else np.float32)
    distance = np.abs(exact - rounded.astype(np.float64)) / np.spacing(rounded).astype(np.float64)
    kept: Array = drawn[distance < SAFE_DISTANCE].astype(np.float32)
    return kept[: np.prod(shape)].reshape(shape)
