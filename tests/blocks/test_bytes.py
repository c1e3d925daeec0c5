"""One suite over every block type: the kernels' bytes are the reference's, the scalar twins' and plain Python's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from oracle import ggml, twins

from blocks import importances
from blocks.checks import assert_reference_s_blocks, assert_same_blocks, dequantized, quantized
from blocks.hard_rows import RECIPES, Rows, finite, hard_rows, mixed_blocks
from blocks.importances import importance
from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.gguf_file.types import UseOfImportance


def parametrized(block_types: Iterable[BlockType]) -> pytest.MarkDecorator:
    """Parametrize a test with these types."""
    return pytest.mark.parametrize("block_type", list(block_types), ids=lambda held: held.name)


def types_with(*uses: UseOfImportance) -> pytest.MarkDecorator:
    """Parametrize a test with the types that make such use of importance."""
    return parametrized(held for held in BLOCK_TYPES.values() if held.importance in uses)


every_type = types_with(*UseOfImportance)
without_importance = types_with(UseOfImportance.NONE, UseOfImportance.OPTIONAL)
with_importance = types_with(UseOfImportance.OPTIONAL, UseOfImportance.REQUIRED)
needing_importance = types_with(UseOfImportance.REQUIRED)

#: Recipes that take every path of the twins, which need up to 0.1 s a block.
TWIN_RECIPES = (
    "normal",
    "offset",
    "heavy tails",
    "all magnitudes",
    "negative zeros",
    "all 0.3",
    "all -1e4",
    "scale 1e-38",
    "scale 1e-15",
    "scale 1e18",
    "tiny sub-blocks",
    "sub-blocks of all scales",
    "negative with tiny maximum",
)

#: (rows, importance) that take the twins' paths with importance.
TWIN_PAIRS = (
    ("normal", "squares"),
    ("heavy tails", "some columns zero"),
    ("negative zeros", "ones"),
    ("all 0.3", "squares"),
    ("tiny sub-blocks", "some sub-blocks zero"),
    ("sub-blocks of all scales", "squares"),
    ("offset", "one column in 32"),
    ("all magnitudes", "huge range"),
    ("scale 1e-15", "all zero"),
)

#: Types whose blocks the `gguf` package cannot read.
NOT_DECODED_BY_GGUF = {"Q2_0", "Q1_0"}

#: Blocks in a row: around one and several groups of lanes of every type.
BLOCK_COUNTS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 17, 31, 32, 33, 63, 64, 65)

PLAIN_PYTHON = """
import sys
import numba
import numpy as np
from blocks.checks import dequantized, quantized
from blocks.hard_rows import mixed_blocks
from blocks.importances import importance
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.blocks.base import UseOfImportance

assert numba.config.DISABLE_JIT
np.seterr(all="ignore")
results = {}
for name, block_type in BLOCK_TYPES.items():
    rows = mixed_blocks(block_type.block_size)
    weights = importance("squares", rows.shape[1])
    if block_type.importance is not UseOfImportance.NONE:
        results[name + " weighted"] = packed = quantized(block_type, rows, weights)
    if block_type.importance is not UseOfImportance.REQUIRED:
        results[name] = packed = quantized(block_type, rows)
    results[name + " values"] = dequantized(block_type, packed)
np.savez(sys.argv[1], **results)
"""


@pytest.fixture(scope="module", autouse=True)
def _tables_in_time(request: pytest.FixtureRequest) -> None:
    """The reference makes the tables of the types to come while those before them are tested."""
    asking = [
        item.callspec.params
        for item in request.session.items
        if item.path == request.path and ggml.needs_ggml.mark in item.iter_markers() and hasattr(item, "callspec")
    ]
    chosen = [params["block_type"] for params in asking if "block_type" in params]
    ggml.prepare(block_type.facts.number for block_type in chosen if ggml.INSTALLED)


@st.composite
def random_rows(draw: st.DrawFn, block_size: int) -> Rows:
    """A few rows: a shape, a distribution, a spread of magnitudes, a scale and a sign."""
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 5)) * block_size
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    base: dict[str, Callable[[], NDArray[Any]]] = {
        "normal": lambda: rng.standard_normal(shape),
        "uniform": lambda: rng.uniform(-1, 1, shape),
        "integers": lambda: rng.integers(-9, 10, shape),
        "few values": lambda: rng.choice(rng.standard_normal(4), shape),
        "neighbours": lambda: 1 + rng.integers(-4, 5, shape) * 2.0**-23,
    }
    values = base[draw(st.sampled_from(sorted(base)))]().astype(np.float64)
    values *= np.exp(draw(st.sampled_from([0, 0.5, 4, 30])) * rng.standard_normal(shape))
    values *= 10.0 ** draw(st.integers(-44, 37))
    values[rng.random(shape) < draw(st.sampled_from([0, 0.1, 0.9]))] *= draw(st.sampled_from([0, -0.0, 1e-6, 1e5]))
    sign = draw(st.sampled_from([0, 1, -1]))  # 0: both signs
    return finite(np.copysign(values, sign) if sign else values)


def extreme_rows(block_size: int) -> st.SearchStrategy[Rows]:
    """One to three blocks of any finite float32, mostly of one value: hypothesis likes the corners of the range."""
    shapes = st.integers(1, 3).map(lambda blocks: (1, blocks * block_size))
    return hnp.arrays(np.float32, shapes, elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


def bit_pattern_rows(block_size: int) -> st.SearchStrategy[Rows]:
    """Two blocks of raw float32 bits."""
    size = 8 * block_size
    return st.binary(min_size=size, max_size=size).map(lambda raw: finite(np.frombuffer(raw, "<f4").reshape(1, -1)))


def _sizes_of_gguf() -> dict[str, tuple[int, int]]:
    return {held.name: gguf.GGML_QUANT_SIZES[held] for held in gguf.GGMLQuantizationType}


@every_type
def test_layout_is_gguf_s(block_type: BlockType) -> None:
    expected = {**_sizes_of_gguf(), "Q2_0": (64, 18), "Q1_0": (128, 18)}  # the newest, which not every version knows
    assert (block_type.block_size, block_type.block_bytes) == expected[block_type.name]
    assert block_type.facts.bits_per_weight == 8 * block_type.block_bytes / block_type.block_size
    assert block_type.row_bytes(5 * block_type.block_size) == 5 * block_type.block_bytes


def test_names_and_twins_are_complete() -> None:
    assert [block_type.name for block_type in BLOCK_TYPES.values()] == list(BLOCK_TYPES)
    assert twins.TWINS.keys() == BLOCK_TYPES.keys()


@ggml.needs_ggml
@every_type
def test_row_size_is_the_reference_s(block_type: BlockType) -> None:
    assert ggml.row_bytes(block_type.facts.number, 4096) == block_type.row_bytes(4096)


@pytest.mark.slow
@ggml.needs_ggml
@pytest.mark.parametrize("recipe", RECIPES)
@without_importance
def test_hard_rows_give_the_reference_s_bytes(block_type: BlockType, recipe: str) -> None:
    rows = hard_rows(recipe, 4 * block_type.block_size)
    before = rows.copy()
    assert_reference_s_blocks(block_type, rows)
    assert np.array_equal(rows.view(np.uint32), before.view(np.uint32)), "the kernel changed its input"


@ggml.needs_ggml
@pytest.mark.parametrize("count", BLOCK_COUNTS)
@without_importance
def test_any_number_of_blocks_gives_the_reference_s_bytes(block_type: BlockType, count: int) -> None:
    flat = hard_rows("heavy tails", 16 * block_type.block_size).reshape(-1)[: count * block_type.block_size]
    for rows in (flat.reshape(1, -1), flat.reshape(count, -1)):
        assert_reference_s_blocks(block_type, rows)


@ggml.needs_ggml
@without_importance
@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=st.data())
def test_random_rows_give_the_reference_s_bytes(block_type: BlockType, data: st.DataObject) -> None:
    size = block_type.block_size
    rows = data.draw(st.one_of(random_rows(size), extreme_rows(size), bit_pattern_rows(size)))
    assert_reference_s_blocks(block_type, rows)


@pytest.mark.slow
@without_importance
def test_bytes_are_the_twin_s(block_type: BlockType) -> None:
    rows = np.concatenate([hard_rows(recipe, block_type.block_size)[:1] for recipe in TWIN_RECIPES])
    assert_same_blocks(block_type, rows, quantized(block_type, rows), twins.quantize(block_type.name, rows))


@needing_importance
def test_a_type_that_needs_importance_says_so(block_type: BlockType) -> None:
    with pytest.raises(ValueError, match=f"{block_type.name} needs importance"):
        quantized(block_type, hard_rows("normal", block_type.block_size))


@pytest.mark.slow
@ggml.needs_ggml
@pytest.mark.parametrize("recipe", RECIPES)
@with_importance
def test_hard_rows_with_importance_give_the_reference_s_bytes(block_type: BlockType, recipe: str) -> None:
    rows = hard_rows(recipe, 2 * block_type.block_size)
    for name in importances.RECIPES:
        assert_reference_s_blocks(block_type, rows, importance(name, rows.shape[1]))


@ggml.needs_ggml
@pytest.mark.parametrize("count", BLOCK_COUNTS)
@with_importance
def test_any_number_of_blocks_with_importance_gives_the_reference_s_bytes(block_type: BlockType, count: int) -> None:
    rows = hard_rows("heavy tails", count * block_type.block_size)[:5]
    weights = importance("squares", rows.shape[1])
    assert_reference_s_blocks(block_type, rows, weights)


@ggml.needs_ggml
@with_importance
@settings(derandomize=True, deadline=None, max_examples=50)
@given(data=st.data())
def test_random_rows_with_importance_give_the_reference_s_bytes(block_type: BlockType, data: st.DataObject) -> None:
    rows = data.draw(random_rows(block_type.block_size))
    weights = np.abs(data.draw(random_rows(block_type.block_size)).reshape(-1)[: rows.shape[1]])
    weights = np.resize(weights, rows.shape[1])
    assert_reference_s_blocks(block_type, rows, weights)


@ggml.needs_ggml
@pytest.mark.parametrize("name", ["Q5_1", "Q4_K"])
def test_two_builds_of_the_reference_differ_where_rounding_is_no_rounding(name: str) -> None:
    """Levels that count nothing, of numbers far beyond 2^22: without this `assert_reference_s_blocks` were simpler."""
    block_type = BLOCK_TYPES[name]
    rows = hard_rows("one huge outlier in tiny noise", 2 * block_type.block_size)
    weights = importance("some sub-blocks zero", rows.shape[1])
    ours = quantized(block_type, rows, weights)
    assert not np.array_equal(ours, ggml.quantize(block_type.facts.number, rows, weights))
    assert_reference_s_blocks(block_type, rows, weights)


@pytest.mark.slow
@with_importance
def test_bytes_with_importance_are_the_twin_s(block_type: BlockType) -> None:
    for recipe, name in TWIN_PAIRS:
        rows = hard_rows(recipe, 2 * block_type.block_size)[:1]
        weights = importance(name, rows.shape[1])
        theirs = twins.quantize(block_type.name, rows, weights)
        assert_same_blocks(block_type, rows, quantized(block_type, rows, weights), theirs)


@every_type
def test_rows_cut_anywhere_give_the_same_bytes(block_type: BlockType) -> None:
    rows = np.concatenate([hard_rows(recipe, 3 * block_type.block_size) for recipe in ("normal", "heavy tails")])
    needed = block_type.importance is UseOfImportance.REQUIRED
    weights = importance("squares", rows.shape[1]) if needed else None
    whole = quantized(block_type, rows, weights)
    last = len(rows)
    for cuts in (range(last + 1), (0, 5, last), (0, last - 1, last), (0, 2, 5, 12, last)):
        packed = np.full_like(whole, 0x5A)
        values = np.empty_like(rows)
        for start, stop in pairwise(cuts):
            block_type.quantize(rows[start:stop], packed[start:stop], weights)
            block_type.dequantize(packed[start:stop], values[start:stop])
        assert_same_blocks(block_type, rows, packed, whole)
        assert np.array_equal(values, dequantized(block_type, whole))


def _bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The bits of the values, all NaN alike."""
    return np.where(np.isnan(values), np.float32(np.nan), values).view(np.uint32)


def _packed(block_type: BlockType) -> NDArray[np.uint8]:
    """Rows of two blocks: random bytes, constant bytes, and what the kernel makes of every recipe."""
    rng = np.random.default_rng(0)
    columns = 2 * block_type.block_size
    random = rng.integers(256, size=(256, block_type.row_bytes(columns)), dtype=np.uint8)
    constant = np.arange(256, dtype=np.uint8).repeat(block_type.row_bytes(columns)).reshape(random.shape)
    needed = block_type.importance is UseOfImportance.REQUIRED
    weights = importance("squares", columns) if needed else None
    written = []
    for recipe in RECIPES:
        with suppress(OverflowError):
            written.append(quantized(block_type, hard_rows(recipe, columns), weights))
    assert len(written) > len(RECIPES) // 2
    return np.concatenate([random, constant, *written])


@ggml.needs_ggml
@every_type
def test_values_are_the_reference_s(block_type: BlockType) -> None:
    packed = _packed(block_type)
    theirs = packed.view(np.float32) if block_type.name == "F32" else ggml.dequantize(block_type.facts.number, packed)
    assert np.array_equal(_bits(dequantized(block_type, packed)), _bits(theirs))


@parametrized(held for held in BLOCK_TYPES.values() if held.name not in NOT_DECODED_BY_GGUF)
def test_values_are_those_of_gguf(block_type: BlockType) -> None:
    packed = _packed(block_type)
    with np.errstate(all="ignore"):  # infinite and NaN scales
        expected = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType[block_type.name])
    assert np.array_equal(dequantized(block_type, packed), expected.reshape(len(packed), -1), equal_nan=True)


@every_type
def test_values_are_the_twin_s(block_type: BlockType) -> None:
    packed = np.random.default_rng(1).integers(256, size=(40, block_type.block_bytes), dtype=np.uint8)
    expected = twins.dequantize(block_type.name, packed)
    assert np.array_equal(_bits(dequantized(block_type, packed)), _bits(expected))


@pytest.fixture(scope="module")
def plain_python(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.generic]]:
    """What the kernels write and read where Numba compiles nothing; a process reads that setting only once."""
    target = tmp_path_factory.mktemp("plain") / "results.npz"
    tests = Path(__file__).resolve().parents[1]
    environment = os.environ | {
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]),
    }
    subprocess.run([sys.executable, "-c", PLAIN_PYTHON, str(target)], env=environment, check=True)
    with np.load(target) as results:
        return dict(results)


@every_type
def test_compiled_is_plain_python(block_type: BlockType, plain_python: dict[str, NDArray[np.generic]]) -> None:
    rows = mixed_blocks(block_type.block_size)
    weights = importance("squares", rows.shape[1])
    uses = {" weighted": weights, "": None}
    if block_type.importance is UseOfImportance.NONE:
        del uses[" weighted"]
    if block_type.importance is UseOfImportance.REQUIRED:
        del uses[""]
    for suffix, used in uses.items():
        packed = quantized(block_type, rows, used)
        assert_same_blocks(block_type, rows, packed, plain_python[block_type.name + suffix].view(np.uint8))
    values = plain_python[block_type.name + " values"].view(np.float32)
    assert np.array_equal(_bits(dequantized(block_type, packed)), _bits(values))
