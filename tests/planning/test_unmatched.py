"""Options that match nothing: each gets a sentence, and options that match do not."""

from __future__ import annotations

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER
from gguf_factory import hyperparameters, write_gguf
from imatrix_factory import write_imatrix

from quantize_cli import plan

NAMES = ("blk.0.ffn_up.weight", "blk.0.ffn_down.weight")


def warnings(model, format_name="q4_k_m", **options):
    return plan(model, format_name, pre_tokenizer=PRE_TOKENIZER, **options).warnings


def squares(columns=256):
    return np.arange(1, columns + 1, dtype=np.float32)


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        ([("ffn_up", "q8_0")], ()),
        (
            [("zzz", "q8_0")],
            ("--tensor-type 'zzz'=q8_0 has no effect, because its pattern does not match any tensor.",),
        ),
        (
            [("ffn_up", "q8_0"), (r"blk\.0\.ffn_up", "q6_k")],
            (
                "--tensor-type 'blk\\\\.0\\\\.ffn_up'=q6_k has no effect, because earlier patterns match all of its "
                "tensors.",
            ),
        ),
        (
            [("_norm", "q8_0")],
            ("--tensor-type '_norm'=q8_0 has no effect, because the tensors that it matches are never quantized.",),
        ),
    ],
)
def test_types_of_tensors(patterns, says, llama):
    assert warnings(llama, tensor_types=patterns) == says


def test_types_of_tensors_in_a_format_that_does_not_quantize(llama):
    assert warnings(llama, "f16", tensor_types=[("ffn_up", "q8_0")]) == (
        "F16 does not quantize anything, so --tensor-type has no effect.",
    )


def test_layers(llama):
    assert warnings(llama, prune_layers=[77]) == ("The model does not have layer 77, so it cannot be pruned.",)


@pytest.fixture
def bare(tmp_path):
    """A GGUF model without an output matrix and without token embeddings."""
    path = tmp_path / "bare-F32.gguf"
    write_gguf(path, {"blk.0.ffn_up.weight": np.ones((4, 256), np.float32)}, hyperparameters())
    return path


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"output_tensor_type": "q8_0"}, "does not have an output matrix, so --output-tensor-type has no effect"),
        ({"token_embedding_type": "q8_0"}, "does not have token embeddings, so --token-embedding-type has no effect"),
        ({"leave_output_tensor": True}, "does not have output.weight, so --leave-output-tensor has no effect"),
    ],
)
def test_roles(options, says, bare, llama):
    assert plan(bare, "q4_k_m", **options).warnings == (f"The model {says}.",)
    assert warnings(llama, **options) == ()


def test_selected_importances(llama, tmp_path):
    file = write_imatrix(tmp_path / "imatrix.gguf", {name: squares() for name in ("blk.0.ffn_up.weight",)})
    found = warnings(llama, "q8_0", imatrix=file, include_weights=["ffn_up", "zzz"])
    assert found == ("--include-weights 'zzz' does not match the name of any entry of the importance matrix.",)
    found = warnings(llama, "q8_0", imatrix=file, exclude_weights="zzz")
    assert found == ("--exclude-weights 'zzz' does not match the name of any entry of the importance matrix.",)


def test_importances_of_another_model(llama, tmp_path):
    file = write_imatrix(tmp_path / "imatrix.gguf", {"blk.7.ffn_up.weight": squares()})
    assert warnings(llama, "q8_0", imatrix=file) == (
        f"{file} does not have importances for any tensor of this model, so it is another model's.",
    )


def test_some_importances_without_a_tensor(llama, tmp_path):
    entries = {name: squares() for name in ("blk.0.ffn_up.weight", "blk.7.ffn_up.weight", "output.weight")}
    file = write_imatrix(tmp_path / "imatrix.gguf", entries)
    assert warnings(llama, "q8_0", imatrix=file) == (
        f"{file} has importances for 1 tensors that this model does not have ('blk.7.ffn_up.weight'); check that it "
        "is this model's.",
    )


def test_importances_of_pruned_layers_are_of_this_model(llama, tmp_path):
    file = write_imatrix(tmp_path / "imatrix.gguf", {f"blk.{layer}.ffn_up.weight": squares() for layer in range(2)})
    assert warnings(llama, "q8_0", imatrix=file, prune_layers=[0]) == ()
