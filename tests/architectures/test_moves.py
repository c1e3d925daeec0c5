"""Moves and maps against NumPy transcriptions of what the reference does to whole tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

import numpy as np
import pytest

from quantize_cli.architectures.maps import (
    Add,
    Columns,
    NegExp,
    StridedColumns,
    TiledColumns,
    Transpose,
    Window,
    ZeroRows,
)
from quantize_cli.architectures.moves import (
    Chosen,
    Gathered,
    Move,
    Reshaped,
    RotaryInterleave,
    RotarySplit,
    Rows,
    Squeeze,
    Tiled,
    moved,
    row_count,
)


def numbered(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """LlamaModel.permute."""
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def unrotated(weights: np.ndarray, heads: int, rotated: int) -> np.ndarray:
    """Glm4Model.normal_to_neox."""
    each = weights.reshape(heads, weights.shape[0] // heads, -1)
    first, rest = each[:, :rotated], each[:, rotated:]
    return np.concatenate([first[:, ::2], first[:, 1::2], rest], axis=1).reshape(weights.shape)


def reordered(tensor: np.ndarray, groups: int, heads: int, size: int, first: int = 0) -> np.ndarray:
    """_LinearAttentionVReorderBase._reorder_v_heads of the rows behind `first`."""
    rest = tensor[first:]
    tiles = rest.reshape(groups, heads, size, *rest.shape[1:]).swapaxes(0, 1).reshape(rest.shape)
    return np.concatenate([tensor[:first], tiles])


def split(weights: np.ndarray, groups: int, *parts: int) -> np.ndarray:
    """Qwen3NextModel.modify_tensors of in_proj_qkvz, without the last step."""
    found = np.split(weights.reshape(groups, sum(parts), -1), np.cumsum(parts)[:-1], axis=1)
    return np.concatenate([part.reshape(-1, weights.shape[1]) for part in found])


WEIGHT = numbered(96, 5)
STACK = numbered(4, 24, 6)
#: (moves, the sources end to end, what the reference makes of them)
CASES: dict[str, tuple[tuple[Move, ...], np.ndarray, np.ndarray]] = {
    "rotary, one head": ((RotaryInterleave(96),), WEIGHT, permuted(WEIGHT, 1)),
    "rotary, heads of 8": ((RotaryInterleave(8),), WEIGHT, permuted(WEIGHT, 12)),
    "rotary, bias": ((RotaryInterleave(4),), numbered(12), permuted(numbered(12), 3)),
    "rotary, heads of 2": ((RotaryInterleave(2),), WEIGHT, WEIGHT),
    "rotary halves": ((RotarySplit(8, 8),), WEIGHT, unrotated(WEIGHT, 12, 8)),
    "rotary halves of a part": ((RotarySplit(16, 8),), WEIGHT, unrotated(WEIGHT, 6, 8)),
    "rotary halves, bias": ((RotarySplit(16, 6),), numbered(96), unrotated(numbered(96), 6, 6)),
    "gates of fused experts": ((Rows(24, 0, 12),), STACK, STACK[:, :12]),
    "the other half of fused experts": ((Rows(24, 12, 12),), STACK, STACK[:, 12:]),
    "cut vocabulary": ((Rows(96, 0, 90),), WEIGHT, WEIGHT[:90]),
    "keys of latent attention": ((Rows(12, 0, 8),), WEIGHT, WEIGHT.reshape(8, 12, 5)[:, :8]),
    "values of latent attention": ((Rows(12, 8, 4),), WEIGHT, WEIGHT.reshape(8, 12, 5)[:, 8:]),
    "values of a bias": ((Rows(12, 8, 4),), numbered(96), numbered(96).reshape(8, 12)[:, 8:].reshape(-1)),
    "tiled heads": ((Tiled(4, 3, 8),), WEIGHT, reordered(WEIGHT, 4, 3, 8)),
    "tiled heads behind others": ((Tiled(4, 2, 4, first=64),), WEIGHT, reordered(WEIGHT, 4, 2, 4, 64)),
    "tiled vector": ((Tiled(4, 3, 1),), numbered(12), reordered(numbered(12), 4, 3, 1)),
    "parts of groups": ((Gathered(8, (2, 2, 4, 4)),), WEIGHT, split(WEIGHT, 8, 2, 2, 4, 4)),
    "parts of one group": ((Gathered(1, (2, 90, 4)),), WEIGHT, WEIGHT),
    "one part of groups": ((Gathered(8, (3, 9)), Rows(96, 0, 24)), WEIGHT, split(WEIGHT, 8, 3, 9)[:24]),
    "chosen": ((Chosen((3, 1)),), numbered(8, 4), numbered(8, 4)[[3, 1]]),
    "squeezed": ((Squeeze(),), numbered(8, 1, 4), numbered(8, 4)),
    "reshaped channels": ((Reshaped((8, 1, 4)),), numbered(8, 4), numbered(8, 1, 4)),
    "reshaped heads": ((Reshaped((8, 1)),), numbered(1, 1, 8, 1), numbered(8, 1)),
    "squeezed, then tiled": (
        (Squeeze(), Tiled(2, 2, 1, first=4)),
        numbered(8, 1, 4),
        reordered(numbered(8, 4), 2, 2, 1, 4),
    ),
    "half, then rotary": ((Rows(96, 48, 48), RotaryInterleave(8)), WEIGHT, permuted(WEIGHT[48:], 6)),
}


@pytest.mark.parametrize(("moves", "source", "expected"), CASES.values(), ids=CASES)
def test_moves_give_what_the_reference_gives(moves, source, expected):
    shape = source.shape
    for move in moves:
        shape = move.shape(shape)
    assert shape == expected.shape
    rows = source.reshape(row_count(source.shape), -1)
    wanted = moved(moves, np.arange(row_count(shape)))
    assert np.array_equal(rows[wanted].reshape(shape), expected)


@pytest.mark.parametrize(("moves", "source", "expected"), CASES.values(), ids=CASES)
def test_a_part_of_the_rows_is_a_part_of_the_whole(moves, source, expected):
    count = row_count(expected.shape)
    whole = moved(moves, np.arange(count))
    for start, stop in pairwise(sorted({0, 1, count // 3, count - 1, count})):
        assert np.array_equal(moved(moves, np.arange(start, stop)), whole[start:stop])


@pytest.mark.parametrize(
    ("move", "shape"),
    [
        (RotaryInterleave(7), (96, 5)),
        (Rows(25, 0, 5), (96, 5)),
        (Rows(12, 8, 5), (96, 5)),
        (Tiled(4, 3, 7), (96, 5)),
        (Gathered(4, (3, 7)), (96, 5)),
        (Chosen((1, 96)), (96, 5)),
        (Reshaped((5, 96)), (96, 5)),
        (Transpose(5, 96), (96, 5)),
        (TiledColumns(2, 2, 2), (96, 5)),
        (Columns(6, 0, 3), (96, 5)),
        (Columns(5, 3, 3), (96, 5)),
        (ZeroRows(95, 1), (96, 5)),
        (StridedColumns(2, 0), (96, 5)),
    ],
)
def test_a_shape_that_does_not_suit_is_refused(move, shape):
    with pytest.raises(ValueError, match=r"it"):
        move.shape(shape)


def windows(shape: tuple[int, ...]) -> Iterator[Window]:
    """Every part of every matrix of a stack."""
    stacked, rows, columns = shape
    for matrix in range(0, stacked * rows, rows):
        for start, stop in combinations(range(matrix, matrix + rows + 1), 2):
            for left, right in combinations(range(columns + 1), 2):
                yield Window(start, stop, left, right)


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        (Transpose(4, 6), numbered(3, 4, 6).swapaxes(1, 2)),
        (Columns(6, 1, 3), numbered(3, 4, 6)[..., 1:4]),
        (StridedColumns(3, 1), numbered(3, 4, 6)[..., 1::3]),
        (TiledColumns(3, 2, 1), np.stack([reordered(matrix.T, 3, 2, 1).T for matrix in numbered(3, 4, 6)])),
    ],
    ids=["transpose", "columns", "strided columns", "tiled columns"],
)
def test_a_window_is_made_of_its_window_of_the_input(change, whole):
    source = numbered(3, 4, 6)
    assert change.shape(source.shape) == whole.shape
    assert not change.computes
    for window in windows(whole.shape):
        needed = change.window(window)
        values = source.reshape(-1, 6)[needed.start : needed.stop, needed.left : needed.right]
        expected = whole.reshape(-1, whole.shape[2])[window.start : window.stop, window.left : window.right]
        assert np.array_equal(change.apply(values, window), expected)


COMPUTED: dict[str, tuple[Add | NegExp, Callable[[np.ndarray], np.ndarray]]] = {
    "add": (Add(1.0), lambda x: x + x.dtype.type(1)),
    "-exp": (NegExp(), lambda x: -np.exp(x.astype(np.longdouble)).astype(x.dtype)),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("change", "twin"), COMPUTED.values(), ids=COMPUTED)
def test_values_are_computed_in_their_own_dtype(change, twin, dtype):
    values = np.random.default_rng(1).uniform(-4, 4, (7, 9)).astype(dtype)
    window = Window(0, 7, 0, 9)
    made = change.apply(values, window)
    assert made.dtype == dtype
    assert np.array_equal(made, twin(values))
    assert change.computes
    assert change.window(window) == window
