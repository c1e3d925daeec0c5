"""A file against its model: what is derived again equals what is there, or is told."""

from __future__ import annotations

import re
import shutil
from typing import Any, cast

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from gguf_factory import read_header
from imatrix_factory import squares, write_imatrix

from quantize_cli import quantize, verify
from quantize_cli.errors import UsageError
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.header import TensorEntry, encode_header
from quantize_cli.verification.options import Told

OPTIONS = {"pre_tokenizer": PRE_TOKENIZER, "threads": 1}


def with_fields(path, **values):
    """Replace text of the metadata of a file, and keep its tensors; there is no trailer afterwards."""
    header, data = read_header(path), path.read_bytes()
    fields = [Field(f.key, f.type, values.get(f.key.replace(".", "_"), f.value), f.item_type) for f in header.fields]
    entries = [TensorEntry(t.name, t.shape, t.type.number, t.nbytes) for t in header.tensors]
    fields = [field for field in fields if field.key != "quantize.version"]
    path.write_bytes(encode_header(fields, entries) + data[header.data_start : -(-header.data_end // 32) * 32])


@pytest.mark.parametrize("sample", [None, 1])
@pytest.mark.parametrize("name", ["whole.gguf", "parts-00002-of-00002.gguf"])
def test_a_file_of_ours_tells_all_that_is_needed(name, sample, made, llama):
    found = verify(made / name, llama, sample=sample, threads=1)
    assert found.findings == ()
    assert found.compared is not None
    assert (found.compared.format, found.compared.tensors) == ("Q8_0", 21)
    assert (found.compared.bytes == found.compared.of_bytes) == (sample is None)
    assert found.compared.bytes > 0


def test_a_file_without_provenance_needs_its_options_again(made, llama):
    """It is llama-quantize's, byte for byte, as the golden files of the suite show."""
    assert verify(made / "plain.gguf", llama, pre_tokenizer=PRE_TOKENIZER).sound


RECIPES = {
    "types": ("q4_k_m", {"tensor_types": {"attn_v": "q8_0", "ffn_.*": "q5_k"}, "token_embedding_type": "q6_k"}),
    "pure": ("q4_0", {"pure": True, "leave_output_tensor": True}),
    "pruned": ("q8_0", {"prune_layers": [0], "override_kv": {"own.text": "a=b", "llama.context_length": 64}}),
    "f16": ("f16", {}),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_options_are_those_of_the_recipe(name, llama, tmp_path):
    format_name, options = cast("tuple[str, dict[str, Any]]", RECIPES[name])
    quantize(llama, format_name, tmp_path / "model.gguf", **options, **OPTIONS)
    found = verify(tmp_path / "model.gguf", llama, threads=1)
    assert (found.findings, found.notes) == ((), ())
    if "tensor_types" in options:  # what the user gives replaces it
        other = verify(tmp_path / "model.gguf", llama, threads=1, tensor_types={"attn_v": "q6_k"})
        assert [finding.kind for finding in other.findings] == ["tensors"]
        assert "has other types than Q4_K_M gives" in other.findings[0].sentence


def test_another_model_is_told(made, tmp_path):
    other = make_checkpoint(tmp_path / "tiny-llama", seed=1)
    found = verify(made / "whole.gguf", other, threads=1)
    assert {finding.kind for finding in found.findings} == {"bytes"}
    assert len(found.findings) + found.further_findings == 21
    assert re.search(r"tensor 'output\.weight' differs from .* in \d+ rows, first in row 0", found.findings[0].sentence)


def test_a_model_of_another_size_is_told(made, tmp_path):
    other = make_checkpoint(tmp_path / "tiny-llama", num_hidden_layers=1, intermediate_size=256)
    found = verify(made / "whole.gguf", other, threads=1)
    said = " ".join(finding.sentence for finding in found.findings)
    assert "has other values than the model gives for 'llama.block_count'" in said
    assert "has 9 tensors that the model does not have" in said
    assert "tensor 'blk.0.ffn_down.weight' has the shape [256, 512], but the model gives [256, 256]" in said


def test_a_changed_byte_is_found_without_digests(made, llama, tmp_path):
    path = tmp_path / "model.gguf"
    shutil.copy(made / "plain.gguf", path)
    tensor = read_header(path).tensors[5]
    data = bytearray(path.read_bytes())
    data[tensor.offset + tensor.nbytes // 2] ^= 1
    path.write_bytes(data)
    assert verify(path).sound
    (finding,) = verify(path, llama, pre_tokenizer=PRE_TOKENIZER, threads=1).findings
    assert (finding.kind, finding.tensor) == ("bytes", tensor.name)
    assert "in 1 rows" in finding.sentence


def test_names_are_not_compared_but_tokens_are(made, llama, tmp_path):
    path = tmp_path / "model.gguf"
    shutil.copy(made / "whole.gguf", path)
    with_fields(path, general_name="Another")
    assert verify(path, llama, threads=1).sound
    tokens = next(field.value for field in read_header(path).fields if field.key == "tokenizer.ggml.tokens")
    with_fields(path, tokenizer_ggml_tokens=("other", *tokens[1:]))
    (finding,) = verify(path, llama, threads=1).findings
    assert finding.kind == "metadata"
    assert "'tokenizer.ggml.tokens'" in finding.sentence


def test_an_importance_matrix_has_to_be_given_again(llama, tmp_path):
    entries = {f"blk.{layer}.ffn_up.weight": squares(256, layer) for layer in range(2)}
    file = write_imatrix(tmp_path / "imatrix.gguf", entries)
    quantize(llama, "q4_k_m", tmp_path / "model.gguf", imatrix=file, include_weights=["blk.1"], **OPTIONS)
    with pytest.raises(UsageError, match=r"was made with the importance matrix .* --imatrix"):
        verify(tmp_path / "model.gguf", llama)
    assert verify(tmp_path / "model.gguf", llama, imatrix=file, threads=1).findings == ()
    other = write_imatrix(tmp_path / "other.gguf", {name: values[::-1] for name, values in entries.items()})
    found = verify(tmp_path / "model.gguf", llama, imatrix=other, threads=1)
    assert [finding.tensor for finding in found.findings] == ["blk.1.ffn_up.weight"]
    assert "is not the importance matrix with which" in found.notes[0]


def test_what_cannot_be_compared(made, llama):
    with pytest.raises(UsageError, match="is the file itself"):
        verify(made / "whole.gguf", made / "whole.gguf")
    with pytest.raises(UsageError, match="give the model with --against"):
        verify(made / "whole.gguf", sample=3)
    with pytest.raises(UsageError, match="--sample takes a number of pieces from 1 on, not 0"):
        verify(made / "whole.gguf", llama, sample=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'report'"):
        verify(made / "whole.gguf", llama, **cast("Any", {"report": "x.html"}))


# What a file tells comes from whoever wrote it.


def metadata(**texts):
    return [Field(key.replace("_", ".", 1), ValueType.STRING, text) for key, text in texts.items()]


@pytest.mark.parametrize(
    "recipe", ["[", "[]", '{"report": "x"}', '{"pure": 1}', '{"tensor_types": [["a"]]}', "[" * 9999]
)
def test_an_unknown_recipe_is_refused(recipe):
    with pytest.raises(UsageError, match=r"has a quantize\.recipe that is not known here"):
        Told(metadata(quantize_recipe=recipe), "x.gguf").keywords({})


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", ".*.*.*x", "(?:x{9}){9}"])
def test_an_expression_that_takes_for_ever_is_not_searched(pattern):
    told = Told(metadata(quantize_recipe=f'{{"tensor_types": [["{pattern}", "q8_0"]]}}'), "x.gguf")
    with pytest.raises(UsageError, match="give it again if you trust it"):
        told.keywords({})
    assert told.keywords({"tensor_types": [("a", "q8_0")]})["tensor_types"] == [("a", "q8_0")]


def test_a_file_type_that_is_not_a_format(made, llama):
    with pytest.raises(UsageError, match="does not state a format that is known here; give it with --format"):
        Told([Field("general.file_type", ValueType.UINT32, 9999)], "x.gguf").format(None)
    assert Told([], "x.gguf").format("q4_k_m").name == "Q4_K_M"


def test_the_commit_is_taken_for_the_same_repository_alone():
    told = Told(metadata(**{"quantize_source.repository": "org/m", "quantize_source.commit": "ab"}), "x.gguf")
    assert told.revision("org/m") == "ab"
    assert told.revision("org/other") is None
