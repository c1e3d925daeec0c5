"""GGUF files and their parts as checkpoints, held against the `gguf` package's writer."""

from __future__ import annotations

import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFValueType
from gguf_factory import ANY, field, file, line, write_gguf

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.observer import Observer

V = GGUFValueType
ROWS = np.arange(3 * 5 * 34, dtype=np.uint8).reshape(3, 5, 34)
TENSORS: dict[str, Any] = {
    "z.weight": (ROWS, GGMLQuantizationType.Q8_0),
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a.bias": np.arange(7, dtype=np.float16),
    "ids": np.arange(5, dtype=np.int32),
}


def parts(folder: Path, *held: list[str], tensors: int | None = None, no: dict[int, int] | None = None) -> Path:
    """A split set whose parts hold the named tensors; returns the first part's path."""
    count = len(held)
    for number, names in enumerate(held):
        fields = {
            "split.no": ((no or {}).get(number, number), V.UINT16),
            "split.count": (count, V.UINT16),
            "split.tensors.count": (tensors or sum(map(len, held)), V.INT32),
            "part": (number, V.UINT32),
        }
        path = folder / f"tiny-Q8_0-{number + 1:05}-of-{count:05}.gguf"
        if names:
            write_gguf(path, {name: TENSORS[name] for name in names}, fields)
        else:  # the package writes no file without tensors
            packed = {V.UINT16: "<H", V.INT32: "<i", V.UINT32: "<I"}
            path.write_bytes(file([field(key, t, struct.pack(packed[t], value)) for key, (value, t) in fields.items()]))
    return folder / f"tiny-Q8_0-00001-of-{count:05}.gguf"


def assert_holds(checkpoint: Checkpoint, names: list[str]) -> None:
    assert list(checkpoint.infos) == names
    for name, info in checkpoint.infos.items():
        tensor = TENSORS[name]
        array = tensor[0] if isinstance(tensor, tuple) else tensor
        read = checkpoint.read_bytes(name, 0, info.rows)
        assert (info.name, info.nbytes) == (name, array.nbytes)
        assert read.dtype == np.uint8
        assert read.shape == (info.rows, array.nbytes // info.rows)
        assert read.tobytes() == array.tobytes()


@pytest.fixture
def one(tmp_path):
    path = tmp_path / "tiny-Q8_0.gguf"
    write_gguf(path, TENSORS, {"general.name": ("Tiny", V.STRING)})
    return path


def test_one_file(one):
    checkpoint = open_checkpoint(one)
    assert isinstance(checkpoint, GgufCheckpoint)
    assert (checkpoint.folder, checkpoint.name, checkpoint.path) == (one.parent, "tiny", one)
    assert_holds(checkpoint, list(TENSORS))
    assert [(i.dtype, i.shape, i.rows, i.file) for i in checkpoint.infos.values()] == [
        ("Q8_0", (3, 5, 32), 15, "tiny-Q8_0.gguf"),
        ("F32", (3, 4), 3, "tiny-Q8_0.gguf"),
        ("F16", (7,), 1, "tiny-Q8_0.gguf"),
        ("I32", (5,), 1, "tiny-Q8_0.gguf"),
    ]
    assert [(held.key, held.value) for held in checkpoint.metadata] == [
        ("general.architecture", ANY),
        ("general.name", "Tiny"),
    ]
    checkpoint.close()


def test_rows(one):
    checkpoint = open_checkpoint(one)
    assert checkpoint.read_bytes("z.weight", 4, 11).tobytes() == ROWS.reshape(15, 34)[4:11].tobytes()
    assert checkpoint.read_bytes("z.weight", 15, 15).shape == (0, 34)
    assert checkpoint.read_bytes("a.weight", 1, 3).view(np.float32).tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert checkpoint.read_bytes("a.bias", 0, 1).view(np.float16).tolist() == [[*range(7)]]
    with pytest.raises(IndexError):
        checkpoint.read_bytes("z.weight", 0, 16)


def test_many_threads_read_the_same(one):
    checkpoint = open_checkpoint(one)
    with ThreadPoolExecutor(8) as pool:
        rows = pool.map(lambda row: checkpoint.read_bytes("z.weight", row, row + 1), list(range(15)) * 8)
        assert b"".join(row.tobytes() for row in rows) == ROWS.tobytes() * 8


@pytest.mark.parametrize("change", ["touch", "shorten", "remove"])
def test_a_file_that_changes_is_noticed(one, change):
    checkpoint = open_checkpoint(one)
    if change == "touch":
        os.utime(one, (1, 1))
    elif change == "shorten":
        os.truncate(one, one.stat().st_size - 1)
    else:
        one.unlink()
    with pytest.raises(CheckpointError, match=f"{re.escape(str(one))} (has changed|is missing)"):
        checkpoint.read_bytes("ids", 0, 1)


def test_the_first_part_brings_the_others(tmp_path):
    first = parts(tmp_path, ["z.weight", "ids"], ["a.weight"], ["a.bias"])
    checkpoint = open_checkpoint(str(first))
    assert_holds(checkpoint, ["z.weight", "ids", "a.weight", "a.bias"])
    assert [info.file[:15] for info in checkpoint.infos.values()] == [
        "tiny-Q8_0-00001",
        "tiny-Q8_0-00001",
        "tiny-Q8_0-00002",
        "tiny-Q8_0-00003",
    ]
    assert isinstance(checkpoint, GgufCheckpoint)
    assert (checkpoint.name, checkpoint.path) == ("tiny", first)
    assert next(held.value for held in checkpoint.metadata if held.key == "part") == 0


def test_a_first_part_without_tensors(tmp_path):
    assert_holds(open_checkpoint(parts(tmp_path, [], ["z.weight"], ["ids"])), ["z.weight", "ids"])


def test_a_single_part_needs_no_name(tmp_path):
    parts(tmp_path, ["z.weight"]).rename(tmp_path / "whole.gguf")
    assert_holds(open_checkpoint(tmp_path / "whole.gguf"), ["z.weight"])


class Notes(Observer):
    def __init__(self):
        self.sentences = []

    def noted(self, sentence):
        self.sentences.append(sentence)


def test_any_part_brings_the_others(tmp_path):
    first = parts(tmp_path, ["z.weight"], ["ids"])
    second = tmp_path / "tiny-Q8_0-00002-of-00002.gguf"
    notes = Notes()
    checkpoint = open_checkpoint(second, observer=notes)
    assert_holds(checkpoint, ["z.weight", "ids"])
    assert (checkpoint.name, checkpoint.location) == ("tiny", str(second))
    assert notes.sentences == [f"{second} is one of the 2 parts of a model: reading all of them."]
    first.unlink()
    with pytest.raises(CheckpointError, match=r"is not complete: tiny-Q8_0-00001-of-00002.gguf is missing; download"):
        open_checkpoint(second)
    second.rename(first)
    with pytest.raises(CheckpointError, match=r"00001-of-00002.gguf is not what its name says, but part 2 of 2"):
        open_checkpoint(first)


def test_parts_joined_by_cat_are_told(tmp_path):
    for joined in (["z.weight"], ["ids"]), ([], ["z.weight"]):
        first = parts(tmp_path, *joined)
        both = b"".join(part.read_bytes() for part in sorted(tmp_path.glob("*-of-00002.gguf")))
        for name in ("joined.gguf", first.name):
            (tmp_path / name).write_bytes(both)
            with pytest.raises(CheckpointError, match=f"{name} is several GGUF files one behind the other, as `cat`"):
                open_checkpoint(tmp_path / name)


def test_a_whole_model_that_states_that_it_is_a_part(tmp_path):
    parts(tmp_path, [*TENSORS], []).rename(tmp_path / "joined.gguf")
    assert_holds(open_checkpoint(tmp_path / "joined.gguf"), [*TENSORS])


@pytest.mark.parametrize("count", [2**40, 2**16, -5])
def test_a_count_of_parts_is_not_believed(tmp_path, count):
    fields = (field("split.count", V.INT64, struct.pack("<q", count)), field("split.no", V.UINT16, bytes(2)))
    path = tmp_path / "tiny-00001-of-00002.gguf"
    path.write_bytes(file(fields, (line("a", (1,)),), bytes(4)))
    if count < 0:
        assert list(open_checkpoint(path).infos) == ["a"]
        return
    with pytest.raises(CheckpointError, match=f"is not what its name says, but part 1 of {count:,}; give the parts"):
        open_checkpoint(path)
    path.rename(tmp_path / "tiny.gguf")
    with pytest.raises(CheckpointError, match=f"is one of {count:,} parts, but its name does not lead to the others"):
        open_checkpoint(tmp_path / "tiny.gguf")


def test_all_parts_and_no_other_file_are_the_models(tmp_path):
    first = parts(tmp_path, ["z.weight"], ["ids"], [])
    checkpoint = open_checkpoint(first)
    for number in (1, 2, 3):
        assert checkpoint.reads(tmp_path / f"tiny-Q8_0-0000{number}-of-00003.gguf")
    (tmp_path / "hard").hardlink_to(first)
    (tmp_path / "soft").symlink_to(first)
    assert checkpoint.reads(tmp_path / "hard")
    assert checkpoint.reads(tmp_path / "soft")
    assert not checkpoint.reads(tmp_path / "config.json")


def test_an_importance_matrix_is_not_a_model(tmp_path):
    write_gguf(tmp_path / "i.gguf", {"a.in_sum2": np.ones(1, np.float32)}, {"general.type": ("imatrix", V.STRING)})
    with pytest.raises(CheckpointError, match=r"i.gguf is an importance matrix, not a model; give it with --imatrix"):
        open_checkpoint(tmp_path / "i.gguf")


@pytest.mark.parametrize("name", ["m.gguf-split-a", "m.gguf.part1of2", "m.gguf.001", "m.gguf.aa"])
def test_a_piece_of_a_file_is_told(tmp_path, name):
    write_gguf(tmp_path / name, {"a": np.ones(1, np.float32)}, {})
    with pytest.raises(CheckpointError, match="is a piece of a file; join all its pieces in their order with `cat`"):
        open_checkpoint(tmp_path / name)


def test_a_download_that_has_not_ended(tmp_path):
    (tmp_path / "model.gguf.part").write_bytes(b"GGUF")
    with pytest.raises(
        CheckpointError, match=r"The download of .*model.gguf has not ended, because .*model.gguf.part is"
    ):
        open_checkpoint(tmp_path / "model.gguf")
    write_gguf(tmp_path / "model.gguf", {"a": np.ones(1, np.float32)}, {})
    assert list(open_checkpoint(tmp_path / "model.gguf").infos) == ["a"]
    (tmp_path / "model.gguf.aria2").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"has not ended, because .*model.gguf.aria2 is there; go on with"):
        open_checkpoint(tmp_path / "model.gguf")


def test_a_missing_part_is_named(tmp_path):
    first = parts(tmp_path, ["z.weight"], ["a.bias"], ["ids"])
    (tmp_path / "tiny-Q8_0-00002-of-00003.gguf").unlink()
    with pytest.raises(
        CheckpointError, match=r"is not complete: tiny-Q8_0-00002-of-00003.gguf is missing; download it"
    ):
        open_checkpoint(first)


def test_parts_that_lost_their_names(tmp_path):
    parts(tmp_path, ["z.weight"], ["ids"]).rename(tmp_path / "first.gguf")
    with pytest.raises(CheckpointError, match=re.escape("their names back (NAME-00001-of-00002.gguf)")):
        open_checkpoint(tmp_path / "first.gguf")


def test_a_first_part_with_the_name_of_another(tmp_path):
    parts(tmp_path, ["z.weight"], ["ids"]).rename(tmp_path / "tiny-Q8_0-00002-of-00003.gguf")
    with pytest.raises(CheckpointError, match=r"is not complete: tiny-Q8_0-00001-of-00003.gguf is missing"):
        open_checkpoint(tmp_path / "tiny-Q8_0-00002-of-00003.gguf")


def test_parts_in_a_wrong_order(tmp_path):
    with pytest.raises(CheckpointError, match=r"00002-of-00003.gguf is not what its name says, part 2 of 3"):
        open_checkpoint(parts(tmp_path, ["z.weight"], ["ids"], ["a.bias"], no={1: 2, 2: 1}))


def test_parts_that_lack_a_tensor(tmp_path):
    with pytest.raises(CheckpointError, match="states that its 2 parts hold 3 tensors, but they hold 2"):
        open_checkpoint(parts(tmp_path, ["z.weight"], ["ids"], tensors=3))


def test_a_tensor_in_two_parts(tmp_path):
    with pytest.raises(CheckpointError, match="tensor 'ids' is in both tiny-Q8_0-00001"):
        open_checkpoint(parts(tmp_path, ["ids"], ["ids"]))


def test_a_damaged_part(tmp_path):
    first = parts(tmp_path, ["z.weight"], ["ids"])
    second = tmp_path / "tiny-Q8_0-00002-of-00002.gguf"
    second.write_bytes(second.read_bytes()[:-20])
    with pytest.raises(
        CheckpointError, match=r"00002-of-00002.gguf is not complete: it has \d+ of \d+ bytes, so 8 of them"
    ):
        open_checkpoint(first)


def test_split_keys_of_other_types(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(file((field("split.count", V.FLOAT32, bytes(4)),), (line("a", (1,)),), bytes(4)))
    with pytest.raises(CheckpointError, match=r"model.gguf is damaged: its split.count is not an integer"):
        open_checkpoint(path)


def test_a_file_without_tensors(tmp_path):
    (tmp_path / "vocabulary.gguf").write_bytes(file())
    with pytest.raises(CheckpointError, match=r"vocabulary.gguf does not hold any tensors"):
        open_checkpoint(tmp_path / "vocabulary.gguf")


def test_the_magic_tells_a_file_without_the_suffix(one):
    blob = one.rename(one.parent / "sha256-0123")
    assert_holds(open_checkpoint(blob), list(TENSORS))


def test_the_suffix_tells_a_file_without_the_magic(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(
        CheckpointError, match=r"model.gguf is a web page, so it cannot be read as a GGUF file; download"
    ):
        open_checkpoint(tmp_path / "model.gguf")


def test_no_such_file(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist; check the path"):
        open_checkpoint(tmp_path / "model.gguf")


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "model.gguf")
    with pytest.raises(CheckpointError, match="is not a regular file"):
        open_checkpoint(tmp_path / "model.gguf")


def test_a_file_has_no_revision(one):
    with pytest.raises(UsageError, match="is a local path, which does not have revisions"):
        open_checkpoint(one, "main")


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Llama-3.2-1B-Instruct"),
        ("llama-3.2-1b.q8_0.gguf", "llama-3.2-1b"),
        ("ggml-model-f16.gguf", "ggml-model"),
        ("Model-BF16-00001-of-00001.gguf", "Model"),
        ("Model-IQ2_XXS.gguf", "Model"),
        ("Model_TQ1_0.gguf", "Model"),
        ("Model-MXFP4_MOE.gguf", "Model"),
        ("Model-1.5B.gguf", "Model-1.5B"),
        ("Qwen2.gguf", "Qwen2"),
        ("F16.gguf", "F16"),
        ("-F16.gguf", "-F16"),
        ("model", "model"),
    ],
)
def test_name_is_that_of_the_model(tmp_path, file_name, name):
    write_gguf(tmp_path / file_name, {"a": np.ones(1, np.float32)}, {})
    assert open_checkpoint(tmp_path / file_name).name == name
