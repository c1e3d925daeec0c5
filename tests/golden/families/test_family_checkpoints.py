"""The checkpoints of the five families: the same everywhere, recorded, and awkward where they claim to be."""

from __future__ import annotations

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from golden.families.case import arrays, build, digest
from golden.families.checkpoints import CASES
from golden.families.compact import Compact, compare, dump, load, summarize
from golden.families.weights import SAFE_DISTANCE, decay_logarithm

RECORDS = Path(__file__).resolve().parent / "records"
SHARED = Path(os.environ.get("QUANTIZE_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
DIGESTS = Path(__file__).resolve().parent / "digests"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder shared/ beside the project")
EVERY_CASE = [
    pytest.param(
        case,
        id=case.name,
        marks=[
            *([needs_shared] if case.vocabulary.shared else []),
            *([pytest.mark.slow] if case.slow else []),
        ],
    )
    for case in CASES.values()
]


@pytest.mark.parametrize("case", EVERY_CASE)
def test_the_checkpoint_is_the_one_that_was_recorded(case, tmp_path):
    assert digest(build(case, tmp_path, SHARED / "tokenizers")) == (DIGESTS / f"{case.name}.sha256").read_text().strip()


def test_a_checkpoint_has_the_same_bytes_twice(tmp_path):
    case = CASES["Qwen3.5-grouped-heads"]
    folders = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        folders.append(build(case, tmp_path / name))
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert "model.safetensors" in files[0]
    assert files[0] == files[1]


def test_every_case_has_its_records():
    expected = {(case.recorded_as, name) for case in CASES.values() for name in case.formats}
    assert {(path.parent.name, path.stem) for path in RECORDS.glob("*/*.jsonl")} == expected


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.weights_of])
def test_another_layout_has_the_same_weights(name):
    case = CASES[name]
    other = CASES[case.weights_of]

    def rows(tensors):
        return {row.tobytes() for values in tensors.values() for row in values.reshape(-1, values.shape[-1])}

    assert rows(arrays(case)) <= rows(arrays(other))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_exponential_of_a_decay_is_far_from_a_tie(dtype):
    values = decay_logarithm("key", (500,), dtype)
    stored = values.astype({"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[dtype])
    assert np.array_equal(stored.astype(np.float32), values)
    exact = np.exp(values.astype(np.float64))
    result = exact.astype(np.float16 if dtype == "float16" else np.float32)
    assert np.all(np.abs(exact - result) < SAFE_DISTANCE * np.spacing(result))
    assert values.min() < 0.1
    assert values.max() > 2.9


@pytest.fixture
def file(tmp_path):
    """A GGUF file and its record."""
    from gguf import GGUFWriter

    path = tmp_path / "model.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 1)
    writer.add_array("llama.numbers", list(range(100)))
    writer.add_tensor("a", np.zeros((2, 32), np.float32))
    writer.add_tensor("b", np.ones(3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, summarize(path)


def test_a_record_can_be_read_back(file, tmp_path):
    _, found = file
    (tmp_path / "record.jsonl").write_text(dump(found))
    assert load(tmp_path / "record.jsonl") == found
    assert found.keys[1] == ["llama.block_count", "UINT32", 1]
    assert found.keys[2][:2] == ["llama.numbers", "ARRAY[INT32]"]
    assert found.keys[2][2]["n"] == 100
    assert [entry[:3] for entry in found.tensors] == [["a", "F32", [32, 2]], ["b", "F32", [3]]]


def test_a_file_is_equal_to_its_record(file):
    path, found = file
    assert compare(path, found) == []


def test_differences_are_named(file):
    path, found = file
    wanted = Compact(
        size=found.size + 1,
        sha256="0",
        keys=[found.keys[0], ["llama.block_count", "UINT32", 1.0], ["llama.absent", "BOOL", True]],
        tensors=[found.tensors[1], [*found.tensors[0][:3], "0123456789abcdef"]],
    )
    text = "\n".join(compare(path, wanted))
    assert "key llama.block_count: ['UINT32', 1], not ['UINT32', 1.0]" in text
    assert "key llama.absent is missing" in text
    assert "key llama.numbers is extra" in text
    assert "tensor a: " in text
    assert "tensor b" not in text
    assert "order of tensors: number 0 is a, not b" in text
    assert "size: " in text
    assert "SHA-256 of the file: " in text
