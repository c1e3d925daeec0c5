"""Rows are read where the moves say, in few ranges, whatever the sources' shapes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from quantize_cli.architectures.moves import RotaryInterleave, Rows, Squeeze, Tiled, moved
from quantize_cli.run import stored
from quantize_cli.run.stored import StoredRows


def numbered(*shape, first=0):
    return np.arange(first, first + np.prod(shape), dtype=np.float32).reshape(shape)


def as_numbers(packed):
    return packed.view(np.float32)


#: (moves, shape of the output, sources): with moves, experts, tensors laid end to end, vectors, 4 dimensions.
CASES = {
    "one matrix": ((), (7, 3), [numbered(7, 3)]),
    "experts": ((), (3, 4, 5), [numbered(4, 5, first=20 * i) for i in range(3)]),
    "matrices of several heights": ((), (9, 2), [numbered(4, 2), numbered(0, 2), numbered(5, 2, first=8)]),
    "two vectors": ((), (9,), [numbered(4), numbered(5, first=4)]),
    "one weight": ((), (1,), [numbered(1)]),
    "a row as a vector": ((), (6,), [numbered(1, 6)]),
    "a squeezed row, then tiled": ((Squeeze(), Tiled(2, 3, 1)), (6,), [numbered(1, 1, 6)]),
    "a column as a vector": ((Squeeze(),), (6,), [numbered(6, 1)]),
    "four dimensions": ((), (2, 3, 4, 5), [numbered(2, 3, 4, 5)]),
    "rotary": ((RotaryInterleave(8),), (24, 3), [numbered(24, 3)]),
    "rotary, two sources": ((RotaryInterleave(8),), (24, 3), [numbered(12, 3), numbered(12, 3, first=36)]),
    "rotary, vector": ((RotaryInterleave(8),), (24,), [numbered(24)]),
    "halves of experts": ((Rows(6, 3, 3),), (4, 3, 2), [numbered(4, 6, 2)]),
    "halves of single experts": ((Rows(6, 3, 3),), (2, 3, 2), [numbered(6, 2), numbered(6, 2, first=12)]),
    "half, then rotary": ((Rows(24, 8, 16), RotaryInterleave(8)), (16, 3), [numbered(24, 3)]),
}


@pytest.mark.parametrize("gap", [0, 12, 1 << 16])
@pytest.mark.parametrize(("moves", "shape", "sources"), CASES.values(), ids=CASES)
def test_parts_of_a_tensor_are_the_rows_that_its_moves_name(moves, shape, sources, gap, arrays, planned, monkeypatch):
    monkeypatch.setattr(stored, "GAP_BYTES", gap)
    checkpoint = arrays(**{f"source{i}": source for i, source in enumerate(sources)})
    tensor = planned(checkpoint, shape, moves=moves)
    columns = shape[-1] if len(shape) > 1 else 1
    end_to_end = np.concatenate([source.reshape(-1, columns) for source in sources])
    count = int(np.prod(shape)) // columns
    expected = end_to_end[moved(moves, np.arange(count))]
    rows = StoredRows(checkpoint)
    assert np.array_equal(as_numbers(rows.read(tensor, 0, count)), expected)
    for start, stop in pairwise(sorted({0, 1, count // 3, count // 2 + 1, count - 1, count} - {count + 1})):
        assert np.array_equal(as_numbers(rows.read(tensor, start, stop)), expected[start:stop])


@pytest.mark.parametrize(("moves", "shape", "sources"), CASES.values(), ids=CASES)
def test_a_weight_is_found_in_its_source(moves, shape, sources, arrays, planned):
    checkpoint = arrays(**{f"source{i}": source for i, source in enumerate(sources)})
    tensor = planned(checkpoint, shape, moves=moves)
    rows = StoredRows(checkpoint)
    count = int(np.prod(shape)) // (shape[-1] if len(shape) > 1 else 1)
    made = as_numbers(rows.read(tensor, 0, count)).reshape(-1)
    for place, weight in enumerate(made):
        info, there = rows.locate(tensor, place)
        assert checkpoint.arrays[info.name].reshape(-1)[there] == weight


def test_what_stays_together_is_read_at_once(arrays, planned):
    checkpoint = arrays(matrix=numbered(64, 3))
    StoredRows(checkpoint).read(planned(checkpoint, (64, 3), moves=(RotaryInterleave(16),)), 4, 60)
    assert checkpoint.reads == [("matrix", 2, 62)]
    checkpoint = arrays(stack=numbered(4, 6, 2))
    StoredRows(checkpoint).read(planned(checkpoint, (4, 3, 2), moves=(Rows(6, 3, 3),)), 3, 6)
    assert checkpoint.reads == [("stack", 9, 12)]


def test_what_lies_far_apart_is_read_apart(arrays, planned, monkeypatch):
    monkeypatch.setattr(stored, "GAP_BYTES", 24)  # two rows
    checkpoint = arrays(matrix=numbered(64, 3))
    StoredRows(checkpoint).read(planned(checkpoint, (64, 3), moves=(RotaryInterleave(64),)), 0, 8)
    assert checkpoint.reads == [("matrix", 0, 4), ("matrix", 32, 36)]


def test_only_the_experts_of_a_slab_are_looked_at(arrays, planned):
    experts = {f"expert{i}": numbered(2, 3, first=6 * i) for i in range(50)}
    checkpoint = arrays(**experts)
    StoredRows(checkpoint).read(planned(checkpoint, (50, 2, 3)), 60, 62)
    assert checkpoint.reads == [("expert30", 0, 2)]
