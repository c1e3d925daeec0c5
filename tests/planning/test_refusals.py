"""What a plan refuses, and what it tells, of models that are GGUF files already."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGUFValueType
from gguf_factory import hyperparameters, write_gguf
from golden.families.case import build
from golden.families.checkpoints import CASES

from quantize_cli import plan, quantize
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import CheckpointError, UnsupportedError, UsageError

MATRIX = "blk.0.ffn_up.weight"
INTEGERS = {"I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "F64": np.float64}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_matrix_that_is_not_of_weights_is_not_quantized(dtype, tmp_path):
    write_gguf(tmp_path / "model.gguf", {MATRIX: np.ones((4, 256), INTEGERS[dtype])}, hyperparameters())
    with pytest.raises(UnsupportedError) as raised:
        plan(tmp_path / "model.gguf", "q4_0")
    assert str(raised.value) == (
        f"1 of 1 tensors cannot be quantized, because weights cannot be decoded from their types ('{MATRIX}' is "
        f"{dtype}); take a file whose matrices are F32, F16 or BF16."
    )


@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_vector_that_is_not_of_weights_is_copied(dtype, tmp_path):
    values = {"blk.0.table": np.arange(7).astype(INTEGERS[dtype]), MATRIX: np.ones((4, 256), np.float32)}
    write_gguf(tmp_path / "model.gguf", values, hyperparameters())
    quantize(tmp_path / "model.gguf", "q4_0", tmp_path / "out.gguf")
    checkpoint = open_checkpoint(tmp_path / "out.gguf")
    assert checkpoint.infos["blk.0.table"].dtype == dtype
    assert checkpoint.read_bytes("blk.0.table", 0, 1).tobytes() == values["blk.0.table"].tobytes()


def test_a_file_that_is_copied_says_so(tmp_path):
    write_gguf(tmp_path / "model-F32.gguf", {MATRIX: np.ones((4, 256), np.float32)}, hyperparameters())
    copied = plan(tmp_path / "model-F32.gguf", "f32")
    assert copied.copied
    assert copied.warnings == (
        "All tensors are copied unchanged, because they already have the types that F32 gives them.",
    )
    assert not plan(tmp_path / "model-F32.gguf", "q8_0").copied


def test_a_key_that_is_missing_can_be_set(tmp_path):
    fields = hyperparameters()
    del fields["mpt.context_length"]
    write_gguf(tmp_path / "model.gguf", {MATRIX: np.ones((4, 256), np.float32)}, fields)
    with pytest.raises(CheckpointError, match=r"set it with --override-kv mpt\.context_length=int:N"):
        plan(tmp_path / "model.gguf", "q8_0")
    made = plan(tmp_path / "model.gguf", "q8_0", override_kv=["mpt.context_length=int:64"])
    assert ("mpt.context_length", 64) in [(field.key, field.value) for field in made.files[0].metadata]


def test_a_model_with_a_value_for_each_layer_is_not_pruned(tmp_path):
    each = {"mpt.attention.head_count": ((4, 2, 2), GGUFValueType.ARRAY, GGUFValueType.UINT32)}
    tensors = {f"blk.{layer}.ffn_up.weight": np.ones((4, 256), np.float32) for layer in range(3)}
    write_gguf(tmp_path / "model.gguf", tensors, hyperparameters(block_count=3) | each)
    with pytest.raises(UsageError, match=r"^With --prune-layers, .*head_count is a list of 3, but llama.cpp wants 2"):
        plan(tmp_path / "model.gguf", "q8_0", prune_layers=[1])


def test_too_many_parts(tmp_path):
    tensors = {f"blk.0.{number}.weight": np.ones(8, np.float32) for number in range(513)}
    write_gguf(tmp_path / "model.gguf", tensors, hyperparameters())
    with pytest.raises(UsageError, match="would take 513 files, but at most 512 can be written at once"):
        plan(tmp_path / "model.gguf", "f32", split_max_size=1)


@pytest.mark.parametrize("split", [{}, {"split_max_size": 1 << 20}])
def test_an_unknown_architecture_is_refused(split, tmp_path):
    write_gguf(tmp_path / "model.gguf", {MATRIX: np.ones((4, 256), np.float32)}, {}, architecture="lama")
    with pytest.raises(UnsupportedError, match=r"of the architecture 'lama', which llama\.cpp does not know"):
        plan(tmp_path / "model.gguf", "q8_0", **split)


def test_tensors_that_share_a_source_share_its_bytes(tmp_path):
    case = next(case for case in CASES.values() if case.name.startswith("DeepSeek") and not case.vocabulary.shared)
    made = plan(build(case, tmp_path), "q8_0", pre_tokenizer=case.vocabulary.pre_tokenizer)
    assert {tensor.source_bytes for tensor in made.tensors if tensor.sources} != {0}
    for tensor in made.tensors:
        if tensor.name.endswith(("attn_k_b.weight", "attn_v_b.weight", "_exps.weight")):
            assert tensor.source_bytes == 2 * tensor.weights
