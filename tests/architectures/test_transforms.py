from __future__ import annotations

import numpy as np
import pytest

from quantize_cli.architectures.moves import RotaryInterleave


def twin(rows: np.ndarray, heads: int) -> np.ndarray:
    """Row by row: row i of the first half and row i of the second become neighbours 2i and 2i + 1."""
    head = len(rows) // heads
    out = np.empty_like(rows)
    for number in range(heads):
        for pair in range(head // 2):
            for half in range(2):
                out[number * head + 2 * pair + half] = rows[number * head + half * (head // 2) + pair]
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize("tail", [(), (1,), (6,)], ids=["bias", "column", "weight"])
@pytest.mark.parametrize(("heads", "head"), [(1, 2), (3, 4), (9, 64), (2, 128)])
def test_rows_are_interleaved_within_heads(heads, head, tail, dtype):
    rows = np.arange(heads * head * max(1, *tail, 1)).astype(dtype).reshape(heads * head, *tail)
    assert np.array_equal(RotaryInterleave(head).apply(rows), twin(rows, heads))


@pytest.mark.parametrize("groups", [1, 2, 3, 5])
def test_slabs_give_what_the_whole_gives(groups):
    rows = np.random.default_rng(1).standard_normal((12 * 8, 5)).astype(np.float32)
    transform = RotaryInterleave(8)
    step = groups * transform.row_group
    slabs = [transform.apply(rows[start : start + step]) for start in range(0, len(rows), step)]
    assert np.array_equal(np.concatenate(slabs), transform.apply(rows))


def test_values_are_moved_bit_for_bit():
    bits = np.array([0x7FC00001, 0x80000000, 0x00000001, 0xFF800000], np.uint32)
    assert np.array_equal(RotaryInterleave(4).apply(bits.view(np.float32)).view(np.uint32), bits[[0, 2, 1, 3]])
