"""GPTQ: any rows against one code at a time, bands, and refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from quantize_cli.checkpoints.encodings import gptq
from quantize_cli.errors import CheckpointError

from .quantized import checked, numbers, opened, scales


def stated(bits=4, **more):
    return {"quant_method": "gptq", "bits": bits, **more}


def tensors(bits, rows, columns, groups):
    """A matrix whose columns belong to any groups: its tensors, and its weights with zero points as they are stored."""
    random, count = np.random.default_rng(bits), 32 // bits
    held, zeros = random.integers(0, 1 << bits, (rows, columns)), random.integers(0, 1 << bits, (groups, rows))
    of_columns, factors = random.integers(0, groups, columns).astype(np.int32), scales(np.float16, groups, rows)
    qweight, qzeros = np.zeros((columns // count, rows), np.uint32), np.zeros((groups, rows // count), np.uint32)
    for row, column in np.ndindex(rows, columns):
        qweight[column // count, row] |= np.uint32(int(held[row, column]) << column % count * bits)
    for group, row in np.ndindex(groups, rows):
        qzeros[group, row // count] |= np.uint32(int(zeros[group, row]) << row % count * bits)

    def wanted(offset):
        made = np.empty((rows, columns), np.float32)
        for row, column in np.ndindex(rows, columns):
            place = of_columns[column], row
            made[row, column] = np.float32(factors[place]) * np.float32(held[row, column] - (zeros[place] + offset))
        return made

    found = {"qweight": qweight.view("i4"), "qzeros": qzeros.view("i4"), "scales": factors, "g_idx": of_columns}
    return {f"a.{name}": values for name, values in found.items()}, wanted


@pytest.mark.parametrize(
    ("section", "offset"),
    [(stated(4), 1), (stated(2), 1), (stated(8), 1), (stated(4, checkpoint_format="gptq_v2"), 0)],
)
@pytest.mark.parametrize("band_bytes", [1 << 20, 3 * 4 * 8, 1])
def test_any_rows_are_those_of_a_scalar_twin(section, offset, band_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr(gptq, "BAND_BYTES", band_bytes)
    monkeypatch.setattr(gptq, "READ_BYTES", 100)
    found, wanted = tensors(section["bits"], 16, 32, 3)
    checkpoint = opened(tmp_path, found | {"a.bias": np.ones(16, np.float16)}, **section)
    assert list(checkpoint.infos) == ["a.bias", "a.weight"]
    for start, stop in itertools.combinations_with_replacement(range(17), 2):
        assert np.array_equal(numbers(checkpoint, "a.weight", start, stop), wanted(offset)[start:stop]), (start, stop)
    assert np.array_equal(checkpoint.read_small("a.weight").view(np.float32), wanted(offset).reshape(-1))


def test_few_bands_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(gptq, "BAND_BYTES", 1)
    found, _ = tensors(4, 16, 32, 3)
    checkpoint = opened(tmp_path, found, **stated())
    numbers(checkpoint, "a.weight")
    (decoding,) = checkpoint._decodings.values()
    assert [number for _, number in decoding.bands.held] == [14, 15]


FOUND, _ = tensors(4, 16, 32, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"b.qweight": np.zeros((4, 16), np.int32)},
            r"'b\.qweight' as I32, but the model lacks 'b\.qzeros', their zero",
        ),
        ({"a.qweight": np.zeros((4, 16), np.int16)}, r"I16 \[4, 16\], .* must be I32 of two dimensions"),
        ({"a.scales": np.ones((3, 15), np.float16)}, r"F16 \[3, 15\], .* of shape \[groups, 16\]"),
        ({"a.scales": np.ones((0, 16), np.float16)}, r"F16 \[0, 16\], .* of shape \[groups, 16\]"),
        ({"a.qzeros": np.zeros((2, 2), np.int32)}, r"I32 \[2, 2\], .* must be I32 of shape \[3, 2\]"),
        ({"a.g_idx": np.zeros(31, np.int32)}, r"I32 \[31\], .* must be I32 of shape \[32\]"),
        ({"a.weight": np.zeros((16, 32), np.float16)}, r"holds 'a\.weight' beside 'a\.qweight'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words, tmp_path):
    with pytest.raises(CheckpointError, match=words):
        checked(tmp_path, FOUND | changes, **stated())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a.g_idx": np.full(32, 3, np.int32)}, r"names group 3, but 'a\.scales' has 3 groups; download"),
        ({"a.g_idx": np.full(32, -1, np.int32)}, r"names group -1, but"),
        ({"a.scales": np.full((3, 16), np.inf, np.float16)}, r"'a\.scales' of model\.safetensors holds inf among"),
    ],
)
def test_values_that_do_not_fit_are_refused_when_they_are_read(changes, words, tmp_path):
    checkpoint = opened(tmp_path, FOUND | changes, **stated())
    with pytest.raises(CheckpointError, match=words):
        numbers(checkpoint, "a.weight", 0, 1)


@pytest.mark.parametrize("bits", [3, None, "4", [4], 16, 4.0])
def test_other_bits_stay_as_they_are(bits, tmp_path):
    assert list(opened(tmp_path, FOUND, **stated(bits)).infos) == sorted(FOUND)


def test_matrices_without_anything_beside_them_stay_as_they_are(tmp_path):
    found = {"a.qweight": FOUND["a.qweight"]}
    assert list(opened(tmp_path, found, **stated()).infos) == ["a.qweight"]
