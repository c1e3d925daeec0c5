"""The digest of a plan: equal exactly where the bytes are decided alike."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from imatrix_factory import squares, write_imatrix

from quantize_cli import plan
from quantize_cli.architectures import maps, moves
from quantize_cli.planning.digest import importance_digest


def digest(folder, format_name="q4_k_m", **options):
    return plan(folder, format_name, pre_tokenizer=PRE_TOKENIZER, **options).digest


def test_the_same_headers_and_options_have_the_same_digest_wherever_they_lie(llama, tmp_path):
    assert len(digest(llama)) == 64
    assert digest(llama) == digest(llama, "Q4_K_M") == digest(make_checkpoint(tmp_path / "tiny-llama", seed=1))


@pytest.mark.parametrize(
    "options",
    [
        {"pure": True},
        {"tensor_types": {"attn_v": "q5_0"}},
        {"override_kv": {"general.name": "another"}},
        {"split_max_size": "1M"},
        {"prune_layers": "1"},
    ],
)
def test_every_option_that_changes_bytes_changes_the_digest(options, llama):
    assert digest(llama, **options) != digest(llama)


def test_formats_have_digests_of_their_own(llama):
    names = ["f32", "q8_0", "q4_k_m", "q4_k_s"]
    assert len({held.digest for held in plan(llama, names, pre_tokenizer=PRE_TOKENIZER)}) == len(names)


def test_the_values_of_the_importance_matrix_count(llama, tmp_path):
    """Files of the same name in other folders, for the name is in the metadata."""
    found = set()
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        path = write_imatrix(tmp_path / str(number) / "i.gguf", {"blk.0.attn_q.weight": squares(256, number)})
        found.add(plan(llama, "q4_k_m", pre_tokenizer=PRE_TOKENIZER, imatrix=path).importance_sha256)
    assert len(found) == 2
    assert plan(llama, "q4_k_m", pre_tokenizer=PRE_TOKENIZER).importance_sha256 is None
    assert importance_digest(None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"sources": ("another.weight",)},
        {"source_dtype": "F16"},
        {"moves": ()},
        {"maps": (maps.Add(1.0),)},
        {"values": (0.1, 0.2)},
        {"rounded_to": "F16"},
        {"importance": "blk.7.attn_q.weight"},
        {"type": "Q8_0"},
    ],
)
def test_everything_that_makes_a_tensor_counts(change, llama):
    held = plan(llama, "q4_k_m", pre_tokenizer=PRE_TOKENIZER)
    (file,) = held.files
    tensors = tuple(replace(t, **change) if t.name == "blk.0.attn_q.weight" else t for t in file.tensors)
    assert replace(held, files=(replace(file, tensors=tensors),)).digest != held.digest
    assert replace(held, importance_sha256="x").digest != held.digest
    assert replace(held, warnings=("x",), model="x").digest == held.digest


def test_moves_and_maps_spell_all_their_fields():
    """An array would be cut by `repr`, and a field without `repr` would not count."""
    kinds = [kind for room in (moves, maps) for kind in vars(room).values() if is_dataclass(kind)]
    assert len(kinds) >= 15
    assert {field.type for kind in kinds for field in fields(kind)} <= {
        "int", "float", "tuple[int, ...]", "tuple[float, ...]",
    }  # fmt: skip
    assert all(field.repr for kind in kinds for field in fields(kind))
