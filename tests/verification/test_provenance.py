"""Provenance: what a file tells of its source and its making, the same wherever it is made."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from imatrix_factory import squares, write_imatrix

from quantize_cli import __version__, plan, quantize
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import UsageError
from quantize_cli.planning.provenance import is_ours

PRE = {"pre_tokenizer": PRE_TOKENIZER}
COMMIT = "0123456789abcdef" * 2 + "01234567"


def told(model, format_name="q8_0", **options):
    """The keys of our own of a plan's first file."""
    fields = plan(model, format_name, **PRE, **options).files[0].metadata
    ours = {field.key: field.value for field in fields if is_ours(field.key)}
    assert [field.key for field in fields][-len(ours) :] == [*ours], "they stand at the end"
    return ours


def recipe(model, **options):
    return json.loads(told(model, **options)["quantize.recipe"])


def cached(model, hub):
    """The model as the Hub's cache holds it: links to contents, those of large files named by their SHA-256."""
    repository = hub / "models--org--tiny-llama"
    snapshot, blobs = repository / "snapshots" / COMMIT, repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in model.iterdir():
        data = file.read_bytes()
        digest = hashlib.sha256(data) if file.suffix == ".safetensors" else hashlib.sha1(data)
        (blobs / digest.hexdigest()).write_bytes(data)
        (snapshot / file.name).symlink_to(f"../../blobs/{digest.hexdigest()}")
    return snapshot


def test_a_folder_tells_its_name_and_its_files(llama):
    assert told(llama) == {
        "quantize.version": __version__,
        "quantize.source.name": "tiny-llama",
        "quantize.source.files": ("model.safetensors",),
        "quantize.source.sizes": ((llama / "model.safetensors").stat().st_size,),
        "quantize.recipe": '{"pre_tokenizer":"gpt-2"}',
    }


def test_a_model_of_the_hub_tells_its_commit_and_hashes(llama, tmp_path):
    ours = told(cached(llama, tmp_path))
    assert ours["quantize.source.repository"] == "org/tiny-llama"
    assert ours["quantize.source.commit"] == COMMIT
    expected = hashlib.sha256((llama / "model.safetensors").read_bytes()).hexdigest()
    assert ours["quantize.source.sha256"] == (expected,)


def test_the_folder_in_which_a_model_lies_changes_no_byte(own_llama, tmp_path):
    """Neither do threads, times, and the name of the output."""
    elsewhere = tmp_path / "elsewhere" / own_llama.name
    shutil.copytree(own_llama, elsewhere)
    quantize(own_llama, "q8_0", tmp_path / "one.gguf", threads=1, **PRE)
    quantize(elsewhere, "q8_0", tmp_path / "other.gguf", threads=2, **PRE)
    data = (tmp_path / "one.gguf").read_bytes()
    assert data == (tmp_path / "other.gguf").read_bytes()
    assert str(tmp_path).encode() not in data


def test_all_files_of_a_sharded_model_are_told(tmp_path):
    folder = make_checkpoint(tmp_path / "tiny", num_hidden_layers=1, shards=3)
    ours = told(folder)
    assert ours["quantize.source.files"] == tuple(sorted(path.name for path in folder.glob("*.safetensors")))
    assert ours["quantize.source.sizes"] == tuple(
        (folder / name).stat().st_size for name in ours["quantize.source.files"]
    )


def test_the_recipe_holds_what_decides_the_bytes_and_nothing_else(llama, tmp_path):
    types = tmp_path / "types.txt"
    types.write_text("ATTN_V=q8_0\nffn=q5_k")
    held = recipe(llama, tensor_types=[types, ("attn_q", "q6_k")], no_fallback=True, allow_requantize=True)
    assert held == {
        "pre_tokenizer": "gpt-2",
        "tensor_types": [["attn_v", "Q8_0"], ["ffn", "Q5_K"], ["attn_q", "Q6_K"]],
    }
    assert recipe(llama, prune_layers="1", override_kv={"own.f": 0.5, "own.b": True}, split_max_size="4G") == {
        "pre_tokenizer": "gpt-2",
        "prune_layers": [1],
        "override_kv": ["own.f=float:0.5", "own.b=bool:true"],
        "split_max_size": 4_000_000_000,
    }


def test_a_recipe_is_a_set_of_keywords(llama):
    """Whoever plans with it gets the same plan."""
    options = {"pure": True, "output_tensor_type": "q6_k", "override_kv": ["own.name=str:x=y:z", "own.i=int:-3"]}
    held = recipe(llama, **options)
    assert plan(llama, "q8_0", **held) == plan(llama, "q8_0", **PRE, **options)


def test_an_importance_matrix_is_told_by_its_hash(llama, tmp_path):
    file = write_imatrix(tmp_path / "imatrix.gguf", {"blk.0.ffn_up.weight": squares(256)})
    ours = told(llama, "q4_k_m", imatrix=file, exclude_weights=["blk.1"])
    assert ours["quantize.imatrix.sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert json.loads(ours["quantize.recipe"])["exclude_weights"] == ["blk.1"]


def test_a_file_made_of_a_file_tells_of_the_last_step_alone(llama, tmp_path):
    quantize(llama, "f16", tmp_path / "first.gguf", tensor_types={"attn_v": "bf16"}, threads=1, **PRE)
    ours = {
        field.key: field.value
        for field in plan(tmp_path / "first.gguf", "q8_0").files[0].metadata
        if is_ours(field.key)
    }
    assert ours["quantize.source.files"] == ("first.gguf",)
    assert ours["quantize.recipe"] == "{}"


@pytest.mark.parametrize("options", [{}, {"split_max_size": "1M"}])
def test_without_provenance_there_are_no_keys_and_no_trailer(options, llama):
    without = plan(llama, "q8_0", no_provenance=True, **PRE, **options)
    assert not [field.key for file in without.files for field in file.metadata if is_ours(field.key)]
    assert [file.trailer_bytes for file in without.files] == [0] * len(without.files)


def test_a_source_file_is_known_by_its_size(llama):
    (file,) = open_checkpoint(llama).source_files
    assert (file.name, file.sha256) == ("model.safetensors", None)
    assert file.nbytes == (llama / "model.safetensors").stat().st_size


def test_an_unknown_option_is_still_refused(llama):
    with pytest.raises(TypeError, match="provenances"):
        plan(llama, "q8_0", provenances=False)
    with pytest.raises(UsageError):
        plan(llama, "q8_0", no_provenance=True, pre_tokenizer="nobody's")
