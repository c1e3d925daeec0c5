"""Maps change windows of tensors as they would change whole tensors; transposed matrices are read in bounded bands."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier

import ml_dtypes
import numpy as np
import pytest

from quantize_cli.architectures.maps import Add, Columns, TiledColumns, Transpose, ZeroRows
from quantize_cli.architectures.moves import Rows
from quantize_cli.run import rows as rows_module
from quantize_cli.run.rows import SourceRows

STACK = np.arange(3 * 8 * 20, dtype=np.uint16).reshape(3, 8, 20)
#: One of every 4 bytes of a row of STACK is a border of bands.
BANDS = [1, 2 * 8 * 3, 2 * 8 * 7, 2 * 8 * 20, 1 << 20]


def as_bf16(bits):
    return bits.view(ml_dtypes.bfloat16).astype(np.float32)


def tiled(array):
    """Columns of 2 groups of 5 heads of 2, as 5 tiles of a head of each group."""
    return array.reshape(*array.shape[:-1], 2, 5, 2).swapaxes(-2, -3).reshape(array.shape)


#: (moves, maps, what they make of STACK)
CASES = {
    "transposed": ((), (Transpose(8, 20),), STACK.swapaxes(1, 2)),
    "half of the columns": ((), (Columns(20, 10, 10),), STACK[..., 10:]),
    "half of the columns, transposed": ((), (Columns(20, 10, 10), Transpose(8, 10)), STACK[..., 10:].swapaxes(1, 2)),
    "half of the rows, transposed": ((Rows(8, 4, 4),), (Transpose(4, 20),), STACK[:, 4:].swapaxes(1, 2)),
    "transposed twice": ((), (Transpose(8, 20), Transpose(20, 8)), STACK),
    "transposed, half of the columns": ((), (Transpose(8, 20), Columns(8, 2, 4)), STACK.swapaxes(1, 2)[..., 2:6]),
    "tiled columns": ((), (TiledColumns(2, 5, 2),), tiled(STACK)),
    "tiled columns, transposed": ((), (TiledColumns(2, 5, 2), Transpose(8, 20)), tiled(STACK).swapaxes(1, 2)),
}


def slabs(shape: tuple[int, ...], step: int) -> Iterable[tuple[int, int]]:
    """Rows of a stack, at most `step` at a time, none of two matrices."""
    for matrix in range(0, shape[0] * shape[1], shape[1]):
        yield from pairwise([*range(matrix, matrix + shape[1], step), matrix + shape[1]])


@pytest.mark.parametrize("band_bytes", BANDS)
@pytest.mark.parametrize("step", [1, 3, 8, 100])
@pytest.mark.parametrize(("moves", "maps", "expected"), CASES.values(), ids=CASES)
def test_slabs_are_parts_of_the_whole(moves, maps, expected, step, band_bytes, arrays, planned, monkeypatch):
    monkeypatch.setattr(rows_module, "BAND_BYTES", band_bytes)
    monkeypatch.setattr(rows_module, "READ_BYTES", 3 * 2 * 20)
    checkpoint = arrays(stack=STACK)
    tensor = planned(checkpoint, expected.shape, moves=moves, maps=maps)
    made = SourceRows(checkpoint)
    whole = as_bf16(np.ascontiguousarray(expected)).reshape(-1, expected.shape[-1])
    for start, stop in slabs(expected.shape, step):
        got = made.rows(tensor, start, stop).rows
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        assert np.array_equal(got, whole[start:stop])


@pytest.mark.parametrize("dtype", [np.uint16, np.float16, np.float32])
def test_values_are_computed_after_they_are_transposed(dtype, arrays, planned):
    checkpoint = arrays(stack=STACK.astype(dtype))
    tensor = planned(checkpoint, (3, 20, 8), maps=(Transpose(8, 20), Add(1.0)))
    numbers = as_bf16(STACK) if dtype == np.uint16 else STACK.astype(np.float32)
    assert np.array_equal(SourceRows(checkpoint).rows(tensor, 20, 40).rows, numbers[1].T + 1)


@pytest.mark.parametrize("step", [1, 3, 5, 100])
def test_rows_of_zeros_follow_those_of_the_source(step, arrays, planned):
    matrix = STACK[0]
    checkpoint = arrays(matrix=matrix)
    tensor = planned(checkpoint, (13, 20), maps=(ZeroRows(8, 5),))
    whole = np.vstack([as_bf16(matrix), np.zeros((5, 20), np.float32)])
    for start, stop in pairwise([*range(0, 13, step), 13]):
        assert np.array_equal(SourceRows(checkpoint).rows(tensor, start, stop).rows, whole[start:stop])


def test_a_vector_is_a_column_to_its_maps(arrays, planned):
    checkpoint = arrays(vector=np.arange(6, dtype=np.float32))
    assert np.array_equal(
        SourceRows(checkpoint).rows(planned(checkpoint, (6,), maps=(Add(1.0),)), 0, 1).rows, [np.arange(1, 7)]
    )


def test_an_expert_is_read_once_for_all_of_its_slabs(arrays, planned):
    checkpoint = arrays(stack=STACK)
    tensor = planned(checkpoint, (3, 20, 8), maps=(Transpose(8, 20),))
    made = SourceRows(checkpoint)
    for start, stop in slabs(tensor.shape, 3):
        made.rows(tensor, start, stop)
    assert checkpoint.reads == [("stack", 0, 8), ("stack", 8, 16), ("stack", 16, 24)]


def test_bands_bound_what_is_kept(arrays, planned, monkeypatch):
    monkeypatch.setattr(rows_module, "BAND_BYTES", 100)
    checkpoint = arrays(stack=STACK)
    tensor = planned(checkpoint, (3, 20, 8), maps=(Transpose(8, 20),))
    made = SourceRows(checkpoint)
    for start, stop in slabs(tensor.shape, 1):
        made.rows(tensor, start, stop)
        kept = made._bands.values()
        assert 1 <= len(kept) <= 2
        assert all(band.nbytes <= 100 and band.base is None for band in kept)
    # 320 bytes of an expert are 4 bands, for each of which its rows are read
    assert len(checkpoint.reads) == 3 * 4


def test_threads_at_the_border_of_two_bands_read_each_once(arrays, planned):
    """The last slabs of an expert and the first of the next are made at the same time, in any order."""
    checkpoint = arrays(stack=STACK)
    tensor = planned(checkpoint, (3, 20, 8), maps=(Transpose(8, 20),))
    made = SourceRows(checkpoint)
    whole = as_bf16(np.ascontiguousarray(STACK.swapaxes(1, 2))).reshape(-1, 8)
    together = Barrier(8)

    def make(number):
        together.wait(timeout=60)
        return [
            np.array_equal(made.rows(tensor, row, row + 1).rows, whole[row : row + 1]) for row in range(number, 40, 8)
        ]

    with ThreadPoolExecutor(8) as pool:
        assert all(all(right) for right in pool.map(make, range(8)))
    assert sorted(checkpoint.reads) == [("stack", 0, 8), ("stack", 8, 16)]


def test_float64_is_rounded_before_maps_compute(arrays, planned):
    """1 + 2^-23 + 2^-40 is 1 + 2^-23 in float32, and that plus 1 is 2; in float64 the sum would round to 2 + 2^-22."""
    checkpoint = arrays(norm=np.full((2, 4), 1 + 2.0**-23 + 2.0**-40))
    tensor = planned(checkpoint, (4, 2), maps=(Add(1.0), Transpose(2, 4)))
    assert SourceRows(checkpoint).rows(tensor, 0, 4).rows.tolist() == [[2.0, 2.0]] * 4
    tensor = planned(checkpoint, (2, 4))
    assert SourceRows(checkpoint).rows(tensor, 0, 2).rows.tolist() == [[1 + 2.0**-23] * 4] * 2


def test_float64_beyond_float32_is_infinite_without_a_warning(arrays, planned):
    checkpoint = arrays(values=np.array([[1e300, -1e-300]]))
    weights = SourceRows(checkpoint).rows(planned(checkpoint, (1, 2)), 0, 1)
    assert (weights.rows.tolist(), weights.finite) == ([[np.inf, -0.0]], False)
