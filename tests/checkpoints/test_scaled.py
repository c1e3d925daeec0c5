"""Codes of 8 bits times scales: every shape of scales against one multiplication at a time, and refusals."""

from __future__ import annotations

import itertools
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from quantize_cli.checkpoints.encodings.floats import TABLES
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import CheckpointError

from .quantized import BF16, FP8, checked, codes, numbers, opened, scales

SQUARES = {"quant_method": "fp8", "weight_block_size": [128, 128]}
WHOLE = {"quant_method": "fp8", "weight_block_size": None}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("F8_E4M3", ml_dtypes.float8_e4m3fn),
        ("F8_E5M2", ml_dtypes.float8_e5m2),
        ("F8_E8M0", ml_dtypes.float8_e8m0fnu),
        ("I8", np.int8),
    ],
)
def test_every_code_has_its_value(name, dtype):
    wanted = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    number = ~np.isnan(wanted)
    assert np.array_equal(TABLES[name][number].view(np.uint32), wanted[number].view(np.uint32))
    assert np.isnan(TABLES[name][~number]).all()


def twin(weights, given, block):
    """Multiply one weight at a time, as the definition has it."""
    made = np.empty(weights.shape, np.float32)
    shape = given.shape + (1,) * (weights.ndim - given.ndim)
    for place in itertools.product(*map(range, weights.shape)):
        if block is None:
            where = [0 if size == 1 else number for number, size in zip(place, shape, strict=True)]
        else:
            sides = (1,) * (weights.ndim - 2) + block
            where = [number // side for number, side in zip(place, sides, strict=True)]
        made[place] = np.float32(weights[place]) * np.float32(given.reshape(shape)[tuple(where)])
    return made


#: Shape of codes, shape of scales, sides of a block.
SHAPES = [
    ((5, 12), (3, 3), (2, 4)),
    ((5, 10), (3, 3), (2, 4)),
    ((4, 8), (4, 1), (1, 8)),
    ((4, 3), (1, 1), (128, 128)),
    ((3, 5, 12), (3, 3, 3), (2, 4)),
    ((3, 5, 10), (3, 3, 3), (2, 4)),
    ((5, 12), (), None),
    ((5, 12), (1,), None),
    ((5, 12), (5,), None),
    ((5, 12), (5, 1), None),
    ((5, 12), (1, 12), None),
    ((3, 5, 12), (3,), None),
    ((3, 5, 12), (3, 5), None),
    ((3, 5, 12), (1, 5), None),
    ((3, 5, 12), (3, 1, 1), None),
    ((3, 5, 12), (3, 5, 1), None),
    ((2, 3, 5, 4), (2, 1, 5, 1), None),
    ((1, 12), (1,), None),
]


@pytest.mark.parametrize(("shape", "given", "block"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, BF16, np.float16])
def test_any_rows_are_those_of_a_scalar_twin(shape, given, block, dtype, tmp_path):
    weights, factors = codes(FP8, *shape), scales(dtype, *given)
    stated = {"quant_method": "fp8", "weight_block_size": None if block is None else list(block)}
    checkpoint = opened(tmp_path, {"a.weight": weights, "a.weight_scale_inv": factors}, **stated)
    wanted = twin(weights, factors, block).reshape(-1, shape[-1])
    for start, stop in itertools.combinations(range(len(wanted) + 1), 2):
        assert np.array_equal(numbers(checkpoint, "a.weight", start, stop), wanted[start:stop]), (start, stop)
    assert checkpoint.read_bytes("a.weight", 1, 1).shape == (0, 4 * shape[-1])
    assert np.array_equal(checkpoint.read_small("a.weight").view(np.float32), wanted.reshape(-1))


def test_scales_may_be_powers_of_two(tmp_path):
    weights, factors = codes(ml_dtypes.float8_e5m2, 4, 6), codes(ml_dtypes.float8_e8m0fnu, 2, 3)
    stated = {"quant_method": "fp8", "weight_block_size": [2, 2]}
    checkpoint = opened(tmp_path, {"a": weights, "a_scale_inv": factors}, **stated)
    with np.errstate(over="ignore"):
        assert np.array_equal(numbers(checkpoint, "a"), twin(weights, factors, (2, 2)))


def test_what_serves_activations_alone_is_left_out(tmp_path):
    weights = {"a.weight": codes(FP8, 4, 6), "a.weight_scale": np.float32([2])}
    extra = {"a.input_scale": np.float32([1]), "a.k_scale": np.float32(1), "b.weight": np.ones((4, 6), BF16)}
    stated = {"activation_scheme": "static", "modules_to_not_convert": ["b"], **WHOLE}
    checkpoint = opened(tmp_path, weights | extra, **stated)
    assert list(checkpoint.infos) == ["a.weight", "b.weight"]
    assert checkpoint.infos["b.weight"].dtype == "BF16"
    assert checkpoint.read_bytes("b.weight", 0, 1).view(BF16).tolist() == [[1] * 6]
    info = checkpoint.infos["a.weight"]
    assert (info.dtype, info.shape, info.nbytes, info.file) == ("F32", (4, 6), 96, "model.safetensors")
    assert [part.name for part in info.in_files] == ["a.weight", "a.weight_scale"]


def test_scales_may_lie_in_another_file(tmp_path):
    save_file({"a.weight": codes(FP8, 4, 6)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"a.weight_scale_inv": scales(np.float32)}, tmp_path / "model-00002-of-00002.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"quantization_config": WHOLE}}))
    checkpoint = open_checkpoint(tmp_path)
    assert numbers(checkpoint, "a.weight").shape == (4, 6)


PAIR = {"a.weight": codes(FP8, 256, 300), "a.weight_scale_inv": np.ones((2, 3), np.float32)}


@pytest.mark.parametrize(
    ("changes", "stated", "words"),
    [
        (
            {"b.weight": codes(FP8, 4, 4)},
            SQUARES,
            r"model\.safetensors holds 'b\.weight' as F8_E4M3, but the model lacks 'b\.weight_scale_inv', their scales",
        ),
        (
            {"a.weight_scale_inv": np.ones((2, 2), np.float32)},
            SQUARES,
            r"is F32 \[2, 2\], but with 'a\.weight', F8_E4M3 \[256, 300\], it must be .* of shape \[2, 3\], one number "
            "for each block of 128 x 128 weights; download",
        ),
        ({"a.weight_scale_inv": np.ones((2, 3), np.int32)}, SQUARES, r"is I32 \[2, 3\], .* must be F32, BF16, F16 or"),
        ({"a.weight_scale_inv": np.ones(6, np.float32)}, SQUARES, r"is F32 \[6\], .* shape \[2, 3\]"),
        ({}, WHOLE, r"is F32 \[2, 3\], .* one number or of shape \[256, 1\]; download"),
        ({"a.weight_scale_inv": np.ones((1, 1, 1), np.float32)}, WHOLE, r"is F32 \[1, 1, 1\]"),
        *(
            ({}, {**SQUARES, "weight_block_size": block}, "config.json gives the blocks of quantized weights as")
            for block in ([0, 128], [128], [128, -1], [True, 1], 128, "128", [1 << 40, 1], [1.5, 2], {}, [])
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, stated, words, tmp_path):
    with pytest.raises(CheckpointError, match=words):
        checked(tmp_path, PAIR | changes, **stated)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scales_that_are_not_numbers_are_refused(value, tmp_path):
    factors = np.ones((2, 3), np.float32)
    factors[1, 2] = value
    checkpoint = opened(tmp_path, PAIR | {"a.weight_scale_inv": factors}, **SQUARES)
    assert numbers(checkpoint, "a.weight", 0, 128).shape == (128, 300)
    with pytest.raises(CheckpointError, match=rf"'a\.weight_scale_inv' of model\.safetensors holds {value} among"):
        numbers(checkpoint, "a.weight", 128, 129)


def test_codes_that_are_not_numbers_become_nan(tmp_path):
    weights = PAIR["a.weight"].copy()
    weights.view(np.uint8)[3, 5:7] = 0x7F, 0xFF
    checkpoint = opened(tmp_path, PAIR | {"a.weight": weights}, **SQUARES)
    assert np.argwhere(np.isnan(numbers(checkpoint, "a.weight"))).tolist() == [[3, 5], [3, 6]]


@pytest.mark.parametrize(
    ("tensors", "stated"),
    [
        (PAIR, {}),
        (PAIR, {"quant_method": "fbgemm_fp8"}),
        (PAIR, {"quant_method": ["fp8"]}),
        ({"a.weight": PAIR["a.weight"]}, SQUARES),
        ({"a.weight": np.ones((256, 300), BF16), "a.weight_scale_inv": np.ones((2, 3), np.float32)}, SQUARES),
        ({"a.weight": codes(FP8, 4), "a.weight_scale_inv": np.ones((), np.float32)}, WHOLE),
    ],
)
def test_what_cannot_be_decoded_stays_as_it_is(tensors, stated, tmp_path):
    checkpoint = opened(tmp_path, tensors, **stated)
    assert checkpoint.infos["a.weight"].dtype in ("F8_E4M3", "BF16")
    assert list(checkpoint.infos) == sorted(tensors)


def test_modelopt_may_state_its_method_in_a_file_of_its_own(tmp_path):
    weights, factors = codes(FP8, 4, 6), scales(np.float32)
    save_file(
        {"a.weight": weights, "a.weight_scale": factors, "a.input_scale": factors}, tmp_path / "model.safetensors"
    )
    stated = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": None}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(stated))
    checkpoint = open_checkpoint(tmp_path)
    assert list(checkpoint.infos) == ["a.weight"]
    assert np.array_equal(numbers(checkpoint, "a.weight"), twin(weights, factors, None))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"producer": [], "quantization": {}}', '{"quantization": 1}'])
def test_another_file_of_its_own_does_not_matter(content, tmp_path):
    save_file(PAIR, tmp_path / "model.safetensors")
    (tmp_path / "hf_quant_config.json").write_text(content)
    assert list(open_checkpoint(tmp_path).infos) == sorted(PAIR)
