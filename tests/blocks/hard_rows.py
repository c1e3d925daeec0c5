"""Rows that are hard to quantize: named recipes, the same for every type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rows: TypeAlias = NDArray[np.float32]
Recipe: TypeAlias = Callable[[np.random.Generator, int], ArrayLike]

#: Every recipe makes this many rows.
COUNT = 8
#: The smallest sub-block that has a scale of its own.
SUB_BLOCK = 16


def finite(values: ArrayLike) -> Rows:
    """The values as float32, what is not finite replaced by 0."""
    with np.errstate(over="ignore"):
        rows = np.asarray(values, np.float32)
    return np.where(np.isfinite(rows), rows, np.float32(0))


def _normal(rng: np.random.Generator, columns: int) -> Rows:
    return rng.standard_normal((COUNT, columns), dtype=np.float32)


def _scaled(scale: float) -> Recipe:
    return lambda rng, columns: _normal(rng, columns) * np.float32(scale)


def _equal(value: float) -> Recipe:
    def recipe(rng: np.random.Generator, columns: int) -> Rows:
        return np.full((COUNT, columns), value, np.float32)

    return recipe


def _lognormal(sigma: float) -> Recipe:
    return lambda rng, columns: _normal(rng, columns) * np.exp(sigma * rng.standard_normal((COUNT, columns)))


def _integers(bound: int) -> Recipe:
    return lambda rng, columns: rng.integers(-bound, bound + 1, (COUNT, columns))


def _outliers(noise: float, outlier: float) -> Recipe:
    def recipe(rng: np.random.Generator, columns: int) -> Rows:
        rows = _normal(rng, columns) * np.float32(noise)
        rows[np.arange(COUNT), rng.integers(columns, size=COUNT)] = np.float32(outlier) * rng.choice([-1, 1], COUNT)
        return rows

    return recipe


def _thinned(share: float, factor: float) -> Recipe:
    """That share of the values is multiplied by a factor."""
    return lambda rng, columns: np.where(
        rng.random((COUNT, columns)) < share, _normal(rng, columns) * np.float32(factor), _normal(rng, columns)
    )


def _weak_sub_blocks(factor: float) -> Recipe:
    """Half of the sub-blocks are multiplied by a factor."""

    def recipe(rng: np.random.Generator, columns: int) -> Rows:
        strong = rng.random((COUNT, -(-columns // SUB_BLOCK))).repeat(SUB_BLOCK, axis=1)[:, :columns] < 0.5
        return np.where(strong, 1, np.float32(factor)) * _normal(rng, columns)

    return recipe


def _sub_block_scales(rng: np.random.Generator, columns: int) -> Rows:
    """Neighbouring sub-blocks are up to 30 powers of ten apart."""
    powers = rng.uniform(-20, 10, (COUNT, -(-columns // SUB_BLOCK))).repeat(SUB_BLOCK, axis=1)[:, :columns]
    return finite(_normal(rng, columns) * 10**powers)


def _bit_patterns(rng: np.random.Generator, columns: int) -> Rows:
    return finite(rng.integers(2**32, size=(COUNT, columns), dtype=np.uint32).view(np.float32))


def _subnormal_steps(rng: np.random.Generator, columns: int) -> Rows:
    """A few of the smallest subnormals, of both signs."""
    return rng.integers(-40, 41, (COUNT, columns)) * np.float32(2.0**-149)


def _bf16_grid(rng: np.random.Generator, columns: int) -> Rows:
    return (_normal(rng, columns).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def _neighbours(rng: np.random.Generator, columns: int) -> Rows:
    """Negative values a few units in the last place apart."""
    return (np.float32(-1).view(np.uint32) + rng.integers(4, size=(COUNT, columns), dtype=np.uint32)).view(np.float32)


def _negative_with_tiny_maximum(rng: np.random.Generator, columns: int) -> Rows:
    """The running minimum of the affine search may pass the maximum here."""
    tiny = np.where(rng.random((COUNT, columns)) < 0.3, np.float32(1e-6), np.float32(1))
    return -np.abs(_normal(rng, columns)) * tiny


def _two_values(rng: np.random.Generator, columns: int) -> Rows:
    return rng.choice(np.array([-0.7, 0.3], np.float32), (COUNT, columns))


def _increasing(rng: np.random.Generator, columns: int) -> Rows:
    return np.linspace(-1, 1, COUNT * columns, dtype=np.float32).reshape(COUNT, columns)


def _ties(rng: np.random.Generator, columns: int) -> Rows:
    """Quarters below a power of two: many values half way between two levels."""
    rows = rng.integers(-32, 33, (COUNT, columns)) / np.float32(4)
    rows[:, 0] = -8
    return rows.astype(np.float32)


RECIPES: dict[str, Recipe] = {
    "normal": _normal,
    "positive": lambda rng, columns: np.abs(_normal(rng, columns)),
    "negative": lambda rng, columns: -np.abs(_normal(rng, columns)),
    "offset": lambda rng, columns: _normal(rng, columns) + np.float32(3),
    "heavy tails": lambda rng, columns: rng.standard_t(1.5, (COUNT, columns)),
    "heavier tails": _lognormal(4),
    "all magnitudes": _lognormal(20),
    "zeros": _equal(0.0),
    "negative zeros": _equal(-0.0),
    "signed zeros": lambda rng, columns: np.where(_normal(rng, columns) < 0, np.float32(-0.0), np.float32(0.0)),
    "zeros among values": _thinned(0.9, 0.0),
    "negative zeros among values": _thinned(0.5, -0.0),
    "all 1": _equal(1.0),
    "all -1": _equal(-1.0),
    "all 0.3": _equal(0.3),
    "all -1e-3": _equal(-1e-3),
    "all 1e-30": _equal(1e-30),
    "all -1e-30": _equal(-1e-30),
    "all 1e4": _equal(1e4),
    "all -1e4": _equal(-1e4),
    "all the smallest subnormal": _equal(2.0**-149),
    "all the largest float": _equal(float(np.finfo(np.float32).max)),
    "all the lowest float": _equal(float(np.finfo(np.float32).min)),
    "subnormal steps": _subnormal_steps,
    "scale 1e-42": _scaled(1e-42),
    "scale 1e-38": _scaled(1e-38),
    "scale 1e-36": _scaled(1e-36),
    "scale 1e-30": _scaled(1e-30),
    "scale 1e-20": _scaled(1e-20),
    "scale 1e-15": _scaled(1e-15),
    "scale 1e-14": _scaled(1e-14),
    "scale 1e-7": _scaled(1e-7),
    "scale 1e-4": _scaled(1e-4),
    "scale 1e4": _scaled(1e4),
    "scale 1e6": _scaled(1e6),
    "scale 1e12": _scaled(1e12),
    "scale 1e18": _scaled(1e18),
    "scale 1e30": _scaled(1e30),
    "scale 1e37": _scaled(1e37),
    "one outlier among zeros": _outliers(0, 100),
    "one outlier in noise": _outliers(1e-3, 100),
    "one huge outlier in tiny noise": _outliers(1e-12, 1e12),
    "zero sub-blocks": _weak_sub_blocks(0),
    "tiny sub-blocks": _weak_sub_blocks(1e-8),
    "sub-blocks below the threshold": _weak_sub_blocks(1e-16),
    "sub-blocks of all scales": _sub_block_scales,
    "signs": _integers(1),
    "small integers": _integers(3),
    "integers": _integers(127),
    "two values": _two_values,
    "increasing": _increasing,
    "ties": _ties,
    "bf16 grid": _bf16_grid,
    "bit patterns": _bit_patterns,
    "neighbours": _neighbours,
    "negative with tiny maximum": _negative_with_tiny_maximum,
}


def hard_rows(name: str, columns: int) -> Rows:
    """Rows float32[COUNT, columns], finite, always the same for the same arguments."""
    rng = np.random.default_rng([columns, *name.encode()])
    return finite(RECIPES[name](rng, columns))


def mixed_blocks(block_size: int) -> Rows:
    """One row of four blocks, each of another recipe."""
    names = ("normal", "all magnitudes", "tiny sub-blocks", "scale 1e18")
    return np.concatenate([hard_rows(name, block_size)[:1] for name in names], axis=1)
