"""Models with quantized weights from end to end: what is planned, shown and refused."""

from __future__ import annotations

import json
import shutil

import pytest
from golden.families.case import build
from golden.families.checkpoints import CASES
from safetensors import deserialize

from quantize_cli import inspect, plan, quantize
from quantize_cli.errors import CheckpointError

SCALES = "model.layers.1.self_attn.k_proj.weight_scale_inv"
CODES = SCALES.removesuffix("_scale_inv")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Qwen 3 in FP8, which stays as it is."""
    return build(CASES["Qwen3-FP8"], tmp_path_factory.mktemp("built"))


@pytest.fixture
def model(built, tmp_path):
    """Qwen 3 in FP8, to change."""
    return shutil.copytree(built, tmp_path / built.name)


def changed(folder, name, place, pattern):
    """Write bytes over a tensor's, from a byte on."""
    content = bytearray((folder / "model.safetensors").read_bytes())
    length = int.from_bytes(content[:8], "little")
    begin, _ = json.loads(content[8 : 8 + length])[name]["data_offsets"]
    begin += 8 + length + place
    content[begin : begin + len(pattern)] = pattern
    (folder / "model.safetensors").write_bytes(content)


def test_what_is_shown(built):
    found = inspect(built)
    assert found.refusal is None
    assert found.quantization is not None
    assert (found.quantization.method, found.quantization.settings["fmt"]) == ("fp8", "e4m3")
    assert {held.dtype for held in found.dtypes} == {"F8_E4M3", "BF16"}
    stored = sum(len(held["data"]) for _, held in deserialize((built / "model.safetensors").read_bytes()))
    assert sum(held.bytes for held in found.dtypes) == stored


def test_the_kind_of_compressed_tensors_is_shown(tmp_path):
    found = inspect(build(CASES["Kimi-K2.5-INT4"], tmp_path))
    assert found.refusal is None
    assert found.quantization is not None
    settings = {"format": "pack-quantized", "num_bits": 4, "group_size": 32, "strategy": "group", "type": "int"}
    assert settings.items() <= found.quantization.settings.items()


def test_a_plan_counts_the_bytes_of_the_codes(built):
    planned = plan(built, "Q8_0", pre_tokenizer="qwen2")
    (tensor,) = [tensor for tensor in planned.tensors if tensor.name == "blk.1.attn_k.weight"]
    assert tensor.source_bytes == 256 * 320 + 2 * 3 * 2


NO_SCALE = "'model.layers.1.self_attn.k_proj.weight_scale_inv' of model.safetensors holds"
NO_WEIGHT = r"model.layers.1.self_attn.k_proj.weight in model.safetensors holds nan at index \[1, 1\]"


@pytest.mark.parametrize(
    ("name", "place", "pattern", "words"),
    [
        (SCALES, 2, b"\xc0\x7f", f"{NO_SCALE} nan"),
        (CODES, 321, b"\xff", NO_WEIGHT),
        pytest.param(SCALES, 2, b"\x80\x7f", f"{NO_SCALE} inf", marks=pytest.mark.slow),
        pytest.param(CODES, 321, b"\x7f", NO_WEIGHT, marks=pytest.mark.slow),
    ],
)
def test_values_that_are_not_numbers_leave_no_file(model, tmp_path, name, place, pattern, words):
    changed(model, name, place, pattern)
    with pytest.raises(CheckpointError, match=words):
        quantize(model, "Q8_0", tmp_path / "out.gguf", pre_tokenizer="qwen2", threads=2)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"quant_method": "fp8"}, r"is BF16 \[3, 4\], .* must be .* one number or of shape \[320, 1\]"),
        ({"quant_method": "fp8", "weight_block_size": [64, 128]}, r"must be .* of shape \[5, 4\], one number for each"),
        ({"quant_method": "fp8", "weight_block_size": [0, 0]}, r"gives the blocks of quantized weights as \[0, 0\]"),
        (
            {"quant_method": "awq"},
            r"is quantized already, by AWQ \(config\.json states quant_method 'awq'\): .* as F8_E4M3",
        ),
        ({"quant_method": "new"}, r"is quantized already, by FP8 \(config\.json states quant_method 'new'\)"),
        ({}, r"is quantized already, by FP8: .*; take the model's config\.json again"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_before_the_run(model, section, words):
    values = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**values, "quantization_config": section}))
    found = inspect(model)
    assert found.refusal is not None
    with pytest.raises(type(found.refusal), match=words):
        raise found.refusal
    assert {held.dtype for held in found.dtypes} == {"F8_E4M3", "BF16"}


def test_an_fp8_tensor_without_scales_is_refused(model):
    content = (model / "model.safetensors").read_bytes()
    renamed = content.replace(SCALES.encode(), SCALES.replace("inv", "off").encode())
    assert renamed != content
    (model / "model.safetensors").write_bytes(renamed)
    with pytest.raises(CheckpointError, match=r"k_proj\.weight' as F8_E4M3, but the model lacks .*_scale_inv', their"):
        plan(model, "Q8_0", pre_tokenizer="qwen2")
