"""compressed-tensors: packed integers against one code at a time, kinds of 8 bits, and refusals."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from quantize_cli.errors import CheckpointError

from .quantized import BF16, FP8, checked, codes, numbers, opened, scales


def stated(kind, **weights):
    """What config.json states of one group of layers."""
    return {
        "quant_method": "compressed-tensors",
        "format": kind,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }


def groups_of(bits, size):
    return stated("pack-quantized", num_bits=bits, strategy="group", group_size=size, type="int")


def joined(values, bits):
    """Join the codes of each row to int32, one at a time, the first in the lowest bits."""
    count = 32 // bits
    made = np.zeros((len(values), -(-values.shape[1] // count)), np.uint32)
    for row, column in np.ndindex(values.shape):
        made[row, column // count] |= np.uint32(int(values[row, column]) << column % count * bits)
    return made.view(np.int32)


def tensors(bits, rows, columns, size, with_zeros):
    """A packed matrix and its weights, one at a time."""
    random = np.random.default_rng(bits)
    held = random.integers(0, 1 << bits, (rows, columns))
    factors = scales(BF16, rows, columns // size)
    found = {
        "a.weight_packed": joined(held, bits),
        "a.weight_scale": factors,
        "a.weight_shape": np.array([rows, columns], np.int64),
    }
    offsets = np.full(factors.shape, 1 << bits - 1)
    if with_zeros:
        offsets = random.integers(0, 1 << bits, factors.shape)
        found["a.weight_zero_point"] = np.ascontiguousarray(joined(offsets.T, bits).T)
    wanted = np.empty((rows, columns), np.float32)
    for row, column in np.ndindex(rows, columns):
        group = row, column // size
        wanted[row, column] = np.float32(held[row, column] - offsets[group]) * np.float32(factors[group])
    return found, wanted


@pytest.mark.parametrize("with_zeros", [False, True])
@pytest.mark.parametrize(("bits", "columns", "size"), [(4, 96, 32), (4, 12, 4), (8, 12, 6), (2, 36, 12), (1, 40, 8)])
def test_any_rows_are_those_of_a_scalar_twin(bits, columns, size, with_zeros, tmp_path):
    found, wanted = tensors(bits, 11, columns, size, with_zeros)
    checkpoint = opened(tmp_path, found, **groups_of(bits, size))
    assert list(checkpoint.infos) == ["a.weight"]
    assert checkpoint.infos["a.weight"].shape == (11, columns)
    for start, stop in itertools.combinations_with_replacement(range(12), 2):
        assert np.array_equal(numbers(checkpoint, "a.weight", start, stop), wanted[start:stop]), (start, stop)
    assert np.array_equal(checkpoint.read_small("a.weight").view(np.float32), wanted.reshape(-1))


def test_a_row_may_share_one_scale(tmp_path):
    found, wanted = tensors(4, 3, 16, 16, with_zeros=False)
    kind = stated("pack-quantized", num_bits=4, strategy="channel", type="int")
    assert np.array_equal(numbers(opened(tmp_path, found, **kind), "a.weight"), wanted)


@pytest.mark.parametrize(
    ("kind", "strategy", "dtype", "shape", "block"),
    [
        ("float-quantized", "channel", FP8, (5, 1), None),
        ("float-quantized", "tensor", FP8, (1,), None),
        ("float-quantized", "block", FP8, (3, 2), [2, 4]),
        ("int-quantized", "channel", np.int8, (5, 1), None),
        ("naive-quantized", "channel", ml_dtypes.float8_e5m2, (5, 1), None),
    ],
)
def test_kinds_of_8_bits(kind, strategy, dtype, shape, block, tmp_path):
    weights, factors = codes(dtype, 5, 8), scales(BF16, *shape)
    section = stated(kind, num_bits=8, strategy=strategy, block_structure=block)
    extra = {"a.input_scale": np.ones(1, np.float32), "self_attn.k_scale": np.ones(1, BF16)}
    checkpoint = opened(tmp_path, {"a.weight": weights, "a.weight_scale": factors} | extra, **section)
    assert list(checkpoint.infos) == ["a.weight"]
    spread = factors.astype(np.float32)
    if block:
        spread = np.repeat(np.repeat(spread, 2, axis=0)[:5], 4, axis=1)
    assert np.array_equal(numbers(checkpoint, "a.weight"), weights.astype(np.float32) * spread)


FOUND, _ = tensors(4, 8, 64, 32, with_zeros=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a.weight_scale": None}, r"holds 'a\.weight_packed' as I32, but the model lacks 'a\.weight_scale'"),
        ({"a.weight_scale": np.ones((8, 1), BF16)}, r"'a\.weight_scale' .* BF16 \[8, 1\], .* of shape \[8, 2\];"),
        ({"a.weight_scale": np.ones((8, 0), BF16)}, r"'a\.weight_scale' .* BF16 \[8, 0\], .* of shape \[8, 2\];"),
        ({"a.weight_scale": np.ones(16, BF16)}, r"'a\.weight_scale' .* BF16 \[16\], .* of shape \[8, 2\];"),
        ({"a.weight_scale": np.ones((8, 2), np.int8)}, r"I8 \[8, 2\], .* must be F32, BF16, F16 or F8_E8M0"),
        ({"a.weight_packed": np.ones((8, 8), np.uint8)}, r"'a\.weight_packed' .* U8 .* must be I32 of two dimensions"),
        ({"a.weight_packed": np.ones((8, 8, 1), np.int32)}, r"must be I32 of two dimensions"),
        ({"a.weight_zero_point": np.ones((2, 2), np.int32)}, r"I32 \[2, 2\], .* must be I32 of shape \[1, 2\]"),
        ({"a.weight_shape": np.ones(3, np.int64)}, r"must be two integers, I32 or I64"),
        ({"a.weight": np.ones((8, 64), BF16)}, r"holds 'a\.weight' beside 'a\.weight_packed' .* remove the file"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words, tmp_path):
    found = {name: values for name, values in (FOUND | changes).items() if values is not None}
    with pytest.raises(CheckpointError, match=words):
        checked(tmp_path, found, **groups_of(4, 32))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"a.weight_shape": np.array([8, 63], np.int64)},
            r"holds \[8, 63\], but codes and scales are those of \[8, 64\]",
        ),
        ({"a.weight_scale": np.full((8, 2), np.nan, BF16)}, r"'a\.weight_scale' of model\.safetensors holds nan among"),
    ],
)
def test_values_that_do_not_fit_are_refused_when_they_are_read(changes, words, tmp_path):
    checkpoint = opened(tmp_path, FOUND | changes, **groups_of(4, 32))
    with pytest.raises(CheckpointError, match=words):
        numbers(checkpoint, "a.weight", 0, 1)


@pytest.mark.parametrize(
    "section",
    [
        groups_of(3, 32),
        groups_of(4, 0),
        groups_of([4], 32),
        groups_of(4.0, 32),
        groups_of(True, 32),
        groups_of(4, 32.0),
        stated("pack-quantized", num_bits=4, strategy="tensor", type="int"),
        stated("pack-quantized", num_bits=4, strategy="group", group_size=32, type="float"),
        stated("marlin-24", num_bits=4, strategy="group", group_size=32),
        {**groups_of(4, 32), "config_groups": {}},
        {**groups_of(4, 32), "config_groups": [1]},
        {**groups_of(4, 32), "config_groups": {"a": {"weights": {"num_bits": 4}}, "b": {"weights": {"num_bits": 8}}}},
        {**groups_of(4, 32), "config_groups": {"a": {"weights": {"num_bits": 4}}, "b": 1}},
    ],
)
def test_kinds_that_are_not_read_stay_as_they_are(section, tmp_path):
    assert list(opened(tmp_path, FOUND, **section).infos) == sorted(FOUND)


def test_columns_in_another_order_stay_as_they_are(tmp_path):
    found = FOUND | {"a.weight_g_idx": np.zeros(64, np.int32)}
    assert list(opened(tmp_path, found, **groups_of(4, 32)).infos) == sorted(found)
