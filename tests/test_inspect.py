"""What headers tell of a model: that it is true, and that nothing else is read."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from gguf_factory import hyperparameters, write_gguf
from golden.families.case import build
from golden.families.checkpoints import CASES
from safetensors.numpy import save_file

from quantize_cli import CheckpointError, UnsupportedError, UsageError, inspect, plan, quantize
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.checkpoints.safetensors import SafetensorsCheckpoint
from quantize_cli.inspection.model import Hyperparameters
from quantize_cli.inspection.parameters import parameters_of
from quantize_cli.mixes.tables import FORMATS

SHARED = Path(__file__).parents[2] / "shared"
CONFIGS, TOKENIZERS = SHARED / "configs", SHARED / "tokenizers"


def inspected(folder: Path):
    return inspect(folder, pre_tokenizer=PRE_TOKENIZER)


@pytest.fixture(scope="module")
def gguf(llama, tmp_path_factory):
    """The tiny Llama as a GGUF file without loss, and as one that is quantized."""
    folder = tmp_path_factory.mktemp("gguf")
    quantize(llama, ["bf16", "q4_0"], folder, pre_tokenizer=PRE_TOKENIZER, threads=1)
    return folder


# Sizes.


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_every_size_is_that_of_the_plan(family, tmp_path):
    folder = make_checkpoint(tmp_path / family, family, intermediate_size=480)  # rows that many blocks do not divide
    found = {held.format: held for held in inspected(folder).formats}
    assert set(found) == set(FORMATS)
    free = [name for name, held in found.items() if held.file_bytes and not held.needs]
    for planned in plan(folder, free, pre_tokenizer=PRE_TOKENIZER):
        held = found[planned.format]
        assert held.file_bytes == planned.file_bytes
        assert held.fallbacks == sum(tensor.instead_of is not None for tensor in planned.tensors)
        assert held.bits_per_weight == 8 * sum(t.nbytes for t in planned.tensors) / planned.weights
    assert found["Q4_K_M"].fallbacks
    for name, held in found.items():
        if name not in free:
            with pytest.raises(UsageError, match=re.escape(held.refusal or "needs importances")):
                plan(folder, name, pre_tokenizer=PRE_TOKENIZER)
    assert [name for name, held in found.items() if held.file_bytes is None] == ["Q1_0"]
    assert {"IQ2_XS", "IQ1_S"} <= {name for name, held in found.items() if held.needs == ("imatrix",)}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_familys_sizes_are_those_of_the_plan(name, tmp_path):
    case = CASES[name]
    if case.vocabulary.shared and not TOKENIZERS.is_dir():
        pytest.skip("needs ../shared/tokenizers")
    options = {"pre_tokenizer": case.vocabulary.pre_tokenizer}
    folder = build(case, tmp_path, TOKENIZERS)
    found = {held.format: held.file_bytes for held in inspect(folder, **options).formats}
    plans = plan(folder, ["BF16", "Q8_0", "Q4_K_M", "IQ4_XS"], allow_requantize=True, **options)
    assert [found[planned.format] for planned in plans] == [planned.file_bytes for planned in plans]


def test_formats_are_in_the_order_of_their_sizes(llama):
    sizes = [held.file_bytes or 0 for held in inspected(llama).formats]
    assert sizes == sorted(sizes, reverse=True)


def test_the_model_is_described_once(llama, monkeypatch):
    from quantize_cli.inspection import build as module

    calls = []
    describe = module.describe

    def counted(*given):
        calls.append(given)
        return describe(*given)

    monkeypatch.setattr(module, "describe", counted)
    assert len(inspected(llama).formats) == len(FORMATS)
    assert len(calls) == 1


def test_no_weight_is_read(llama, monkeypatch):
    def refuse(*_given):
        raise AssertionError("weights must not be read")

    monkeypatch.setattr(SafetensorsCheckpoint, "read_bytes", refuse)
    assert inspected(llama).refusal is None


# Facts.


def test_the_facts_of_a_checkpoint(llama):
    found = inspected(llama)
    assert (found.model, found.class_name, found.architecture) == ("tiny-llama", "LlamaForCausalLM", "llama")
    assert (found.source.location, found.source.files, found.source.missing_bytes) == (str(llama), 1, 0)
    sizes = found.hyperparameters
    assert (sizes.context_length, sizes.layers, sizes.mtp_layers) == (128, 2, 0)
    assert (sizes.embedding_length, sizes.feed_forward_length, sizes.heads, sizes.kv_heads) == (256, 512, 4, 2)
    assert (sizes.experts, found.quantization) == (None, None)
    assert sizes.vocabulary == json.loads((llama / "config.json").read_text())["vocab_size"]
    assert found.tokenizer is not None
    assert (found.tokenizer.model, found.tokenizer.pre_tokenizer) == ("gpt2", PRE_TOKENIZER)
    (dtype,) = found.dtypes
    assert found.parameters is not None
    assert (dtype.dtype, dtype.bytes) == ("BF16", 2 * dtype.elements)
    assert found.parameters.total == found.parameters.active == dtype.elements


def test_what_told_the_pre_tokenizer(llama, gguf):
    example = Path(__file__).parents[1] / "examples" / "shakespeare-llama"
    told = [inspected(llama), inspect(gguf / "tiny-llama-BF16.gguf"), inspect(example)]
    assert [found.tokenizer and found.tokenizer.recognised_by for found in told] == ["user", "file", "structure"]


def test_a_tokenizer_that_is_published_is_recognised_by_its_hash(tmp_path):
    tokenizer = TOKENIZERS / "smollm2" / "tokenizer.json"
    if not tokenizer.is_file():
        pytest.skip("needs ../shared/tokenizers")
    folder = make_checkpoint(tmp_path / "model", vocab_size=49152)
    shutil.copy(tokenizer, folder)
    found = inspect(folder).tokenizer
    assert found is not None
    assert (found.pre_tokenizer, found.recognised_by) == ("smollm", "hash")


def test_a_gguf_file_tells_the_same_as_its_checkpoint(llama, gguf):
    one, other = inspected(llama), inspect(gguf / "tiny-llama-BF16.gguf")
    assert (other.hyperparameters, other.parameters) == (one.hyperparameters, one.parameters)
    assert (other.architecture, other.class_name) == (one.architecture, None)
    assert [held.format for held in other.formats] == [held.format for held in one.formats]
    # The name of the source stands in each file.
    assert (
        len({a.file_bytes - b.file_bytes for a, b in zip(other.formats, one.formats, strict=True) if b.file_bytes}) == 1
    )


def test_a_quantized_gguf_file_needs_a_flag_for_all_that_changes_it(gguf):
    found = inspect(gguf / "tiny-llama-Q4_0.gguf")
    assert found.quantization is not None
    assert (found.quantization.format, found.quantization.method) == ("Q4_0", None)
    assert "Q4_0" in found.quantization.types
    needs = {held.format: held.needs for held in found.formats}
    assert needs["Q4_0"] == ()
    assert needs["Q4_K_M"] == ("allow_requantize",)
    assert needs["IQ2_XS"] == ("imatrix", "allow_requantize")
    (size,) = [held.file_bytes for held in found.formats if held.format == "Q4_0"]
    assert size == plan(gguf / "tiny-llama-Q4_0.gguf", "q4_0").file_bytes


def test_integers_cannot_become_weights(tmp_path):
    tensors = {"blk.0.attn_q.weight": np.zeros((32, 256), np.int32), "token_embd.weight": np.zeros((8, 256), "f4")}
    write_gguf(tmp_path / "model.gguf", tensors, hyperparameters("dream", vocab_size=8), "dream")
    found = inspect(tmp_path / "model.gguf")
    (refusal,) = [held.refusal for held in found.formats if held.format == "Q8_0"]
    assert refusal is not None
    with pytest.raises(UnsupportedError, match=re.escape(refusal)):
        plan(tmp_path / "model.gguf", "q8_0")


# Parameters.


def recipe(name: str, *shape: int) -> TensorRecipe:
    return TensorRecipe(name, shape, (name,))


def test_active_are_the_used_experts_and_all_outside_them():
    recipes = [
        recipe("token_embd.weight", 100, 8),
        recipe("blk.0.attn_q.weight", 8, 8),
        recipe("blk.0.ffn_up_exps.weight", 16, 4, 8),
        recipe("blk.0.ffn_up_exps.bias", 16, 4),
        recipe("blk.0.ffn_up_shexp.weight", 4, 8),
        recipe("blk.1.nextn.eh_proj.weight", 8, 16),
        recipe("blk.1.ffn_up_exps.weight", 16, 4, 8),
        TensorRecipe("rope_freqs.weight", (4,), (), values=(1.0, 1.0, 1.0, 1.0)),
    ]
    found = parameters_of(recipes, Hyperparameters(layers=1, mtp_layers=1, experts=16, experts_used=2))
    stack, bias, rest, mtp = 16 * 4 * 8, 16 * 4, 800 + 64 + 32, 128 + 16 * 4 * 8
    assert found.total == 2 * stack + bias + rest + 128
    assert found.active == rest + (stack + bias) // 8
    assert (found.experts, found.mtp) == (2 * stack + bias, mtp)


@pytest.mark.parametrize(("used", "active"), [(None, None), ((1, 4), 32 + 128), (99, 64 * 8)])
def test_experts_that_are_used_may_differ_by_layer(used, active):
    recipes = [recipe(f"blk.{layer}.ffn_up_exps.weight", 8, 4, 8) for layer in (0, 1)]
    assert parameters_of(recipes, Hyperparameters(layers=2, experts_used=used)).active == active


def test_a_model_with_experts_and_mtp_layers(tmp_path):
    case = CASES["Qwen3.5-MoE-stacked"]
    found = inspect(build(case, tmp_path, TOKENIZERS), pre_tokenizer=case.vocabulary.pre_tokenizer)
    assert found.hyperparameters.mtp_layers == 1
    assert found.parameters is not None
    total, active, mtp = found.parameters.total, found.parameters.active, found.parameters.mtp
    assert active is not None
    assert mtp is not None
    assert 0 < mtp < total
    assert active < total - mtp


# Models that are refused.


def test_what_is_known_of_a_class_that_is_not_supported(own_llama):
    config = json.loads((own_llama / "config.json").read_text())
    (own_llama / "config.json").write_text(json.dumps({**config, "architectures": ["LlamoForCausalLM"]}))
    found = inspect(own_llama)
    assert isinstance(found.refusal, UnsupportedError)
    assert "LlamaForCausalLM" in str(found.refusal)  # a near name
    assert (found.class_name, found.architecture, found.formats) == ("LlamoForCausalLM", None, ())
    assert (found.hyperparameters.layers, found.hyperparameters.context_length) == (2, 128)
    assert found.parameters is not None
    assert found.parameters.total == found.dtypes[0].elements
    assert found.to_dict()["refusal"] == str(found.refusal)


def test_a_quantized_checkpoint_shows_what_has_quantized_it(tmp_path):
    source = CONFIGS / "hf-wizard-vicuna-30b-gptq" / "config.json"
    if not source.is_file():
        pytest.skip("needs ../shared/configs")
    shutil.copy(source, tmp_path)
    layer = "model.layers.0.self_attn.q_proj"
    packed = {f"{layer}.qweight": np.zeros((8, 64), "i4"), f"{layer}.scales": np.zeros((1, 64), "f2")}
    save_file(packed, tmp_path / "model.safetensors")
    found = inspect(tmp_path)
    assert found.quantization is not None
    assert found.quantization.method == "gptq"
    assert found.quantization.settings["bits"] == 4
    assert (found.architecture, found.parameters) == ("llama", None)
    assert "GPTQ" in str(found.refusal)
    assert [held.dtype for held in found.dtypes] == ["I32", "F16"]


@pytest.mark.parametrize(
    "config",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"architectures": [1], "num_hidden_layers": "2", "vocab_size": -1, "hidden_size": 1e999}',
        b'{"architectures": {}, "text_config": 3, "quantization_config": {"bits": 1e999, "x": {}, "quant_method": 8}}',
        b'{"architectures": ["LlamaForCausalLM"], "max_position_embeddings": true, "quantization_config": []}',
        b'{"model_type": "llama", "num_attention_heads": [], "rope_scaling": "x", "rope_parameters": 7}',
    ],
)
def test_a_damaged_config_is_refused_and_never_an_unexpected_error(config, own_llama):
    (own_llama / "config.json").write_bytes(config)
    found = inspect(own_llama)
    assert found.refusal is not None
    json.dumps(found.to_dict(), allow_nan=False)


def test_without_config_json_the_tensors_are_known(own_llama):
    (own_llama / "config.json").unlink()
    found = inspect(own_llama)
    assert isinstance(found.refusal, CheckpointError)
    assert found.dtypes[0].tensors == 21


def test_a_gguf_file_of_an_unknown_architecture(tmp_path):
    write_gguf(tmp_path / "model.gguf", {"a.weight": np.zeros((8, 32), "f4")}, {}, architecture="nobody")
    found = inspect(tmp_path / "model.gguf")
    assert isinstance(found.refusal, UnsupportedError)
    assert found.architecture == "nobody"


def test_a_model_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(CheckpointError):
        inspect(tmp_path)


def test_a_wrong_pre_tokenizer_is_an_error(llama):
    with pytest.raises(UsageError, match="not the name of a pre-tokenizer"):
        inspect(llama, pre_tokenizer="nobody's")
