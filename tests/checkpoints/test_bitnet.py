"""BitNet: any rows against one code at a time, and refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from quantize_cli.errors import CheckpointError

from .quantized import BF16, checked, numbers, opened

BITNET = {"quant_method": "bitnet"}
CODES = np.random.default_rng(1).integers(0, 256, (3, 5)).astype(np.uint8)


def test_any_rows_are_those_of_a_scalar_twin(tmp_path):
    scale = np.array([1.7], BF16)
    wanted = np.empty((12, 5), np.float32)
    for row, column in np.ndindex(12, 5):
        code = int(CODES[row % 3, column]) >> row // 3 * 2 & 3
        wanted[row, column] = np.float32(code - 1) / np.float32(scale[0])
    checkpoint = opened(tmp_path, {"a.weight": CODES, "a.weight_scale": scale}, **BITNET)
    for start, stop in itertools.combinations_with_replacement(range(13), 2):
        assert np.array_equal(numbers(checkpoint, "a.weight", start, stop), wanted[start:stop]), (start, stop)
    assert np.array_equal(checkpoint.read_small("a.weight").view(np.float32), wanted.reshape(-1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a.weight_scale": np.ones(2, BF16)}, r"BF16 \[2\], .* must be one number, F32, BF16, F16 or F8_E8M0"),
        ({"a.weight_scale": np.ones(1, np.int32)}, r"I32 \[1\], .* must be one number"),
        ({"a.weight": np.ones((3, 5), BF16)}, r"BF16 \[3, 5\], .* must be U8 of two dimensions"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words, tmp_path):
    with pytest.raises(CheckpointError, match=words):
        checked(tmp_path, {"a.weight": CODES, "a.weight_scale": np.ones(1, BF16)} | changes, **BITNET)


@pytest.mark.parametrize(("value", "words"), [(0, "is 0, but codes are divided by it"), (np.nan, "holds nan among")])
def test_a_scale_that_does_not_divide_is_refused(value, words, tmp_path):
    checkpoint = opened(tmp_path, {"a.weight": CODES, "a.weight_scale": np.full(1, value, BF16)}, **BITNET)
    with pytest.raises(CheckpointError, match=rf"'a\.weight_scale' of model\.safetensors {words}"):
        numbers(checkpoint, "a.weight")
