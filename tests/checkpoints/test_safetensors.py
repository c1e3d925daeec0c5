"""Folders, shards and single files of safetensors, held against the `safetensors` library."""

from __future__ import annotations

import json
import math
import os
import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from quantize_cli.checkpoints.base import FLOAT_DTYPES, Checkpoint
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.checkpoints.safetensors import INDEX_NAME, SafetensorsCheckpoint
from quantize_cli.errors import CheckpointError, UnsupportedError
from quantize_cli.observer import Observer

DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]
SHAPES = [(), (1,), (7,), (5, 3), (4, 2, 3), (0, 3), (3, 0)]


def tensors_of(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        f"{np.dtype(dtype).name}.{'x'.join(map(str, shape))}.{seed}": np.asarray(random.normal(size=shape)).astype(
            dtype
        )
        for dtype in DTYPES
        for shape in SHAPES
    }


def write_shards(folder: Path, shards: dict[str, dict[str, np.ndarray]]) -> None:
    folder.mkdir(exist_ok=True)
    for file, tensors in shards.items():
        save_file(tensors, folder / file)
    write_index(folder, {name: file for file, tensors in shards.items() for name in tensors})


def write_index(folder: Path, weight_map: object) -> None:
    (folder / INDEX_NAME).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def stored(array: np.ndarray) -> np.ndarray:
    """Its rows as bytes, uint8[rows, bytes of a row]; a vector or a number is one row."""
    rows = math.prod(array.shape[:-1])
    return np.frombuffer(array.tobytes(), np.uint8).reshape(rows, array.nbytes // max(rows, 1))


def assert_holds(checkpoint: Checkpoint, tensors: dict[str, np.ndarray]) -> None:
    assert set(checkpoint.infos) == set(tensors)
    for name, info in checkpoint.infos.items():
        read = checkpoint.read_bytes(name, 0, info.rows)
        assert (info.name, info.shape, info.nbytes) == (name, tensors[name].shape, tensors[name].nbytes)
        assert dict(zip(FLOAT_DTYPES, reversed(DTYPES), strict=True))[info.dtype] == tensors[name].dtype
        np.testing.assert_array_equal(read, stored(tensors[name]), strict=True)
        assert read.flags.c_contiguous
        assert read.flags.writeable


@pytest.fixture
def one(tmp_path):
    """A folder with model.safetensors, and its tensors."""
    folder = tmp_path / "some-model"
    folder.mkdir()
    tensors = tensors_of()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder, tensors


@pytest.fixture
def two(tmp_path):
    """A folder with two shards and an index, and all its tensors."""
    shards = {"model-00002-of-00002.safetensors": tensors_of(1), "model-00001-of-00002.safetensors": tensors_of(2)}
    write_shards(tmp_path / "sharded", shards)
    return tmp_path / "sharded", tensors_of(1) | tensors_of(2)


def test_one_file_equals_the_library(one):
    folder, tensors = one
    checkpoint = SafetensorsCheckpoint(folder)
    assert (checkpoint.location, checkpoint.name, checkpoint.missing) == (str(folder), "some-model", {})
    assert_holds(checkpoint, tensors)
    with safe_open(folder / "model.safetensors", framework="np") as theirs:
        assert list(checkpoint.infos) == list(theirs.keys())
        for name, info in checkpoint.infos.items():
            assert info.dtype == theirs.get_slice(name).get_dtype()
            assert checkpoint.read_bytes(name, 0, info.rows).tobytes() == theirs.get_tensor(name).tobytes()


def test_shards_with_an_index_come_in_order_of_file_and_name(two):
    folder, tensors = two
    checkpoint = SafetensorsCheckpoint(folder)
    assert_holds(checkpoint, tensors)
    order = [(info.file, name) for name, info in checkpoint.infos.items()]
    assert order == sorted(order)


def test_shards_without_an_index(two):
    folder, tensors = two
    (folder / INDEX_NAME).unlink()
    assert_holds(SafetensorsCheckpoint(folder), tensors)


def test_the_index_decides_which_files_count(two):
    folder, tensors = two
    save_file({"stray": np.ones(1, np.float32)}, folder / "model.safetensors")
    assert_holds(SafetensorsCheckpoint(folder), tensors)


def test_an_index_may_name_another_shard_as_long_as_the_names_agree(two):
    folder, tensors = two
    write_index(folder, {name: f"model-0000{name[-1]}-of-00002.safetensors" for name in tensors})
    assert_holds(SafetensorsCheckpoint(folder), tensors)


class Notes(Observer):
    def __init__(self):
        self.sentences = []

    def noted(self, sentence):
        self.sentences.append(sentence)


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("given", ["model-00002-of-00002.safetensors", INDEX_NAME])
def test_a_shard_or_the_index_brings_all(two, given, has_index):
    folder, tensors = two
    if not has_index:
        (folder / INDEX_NAME).unlink()
    notes = Notes()
    if not has_index and given == INDEX_NAME:
        refused(folder / given, "does not exist")
        return
    checkpoint = open_checkpoint(folder / given, observer=notes)
    assert (checkpoint.location, checkpoint.name) == (str(folder / given), "sharded")
    assert_holds(checkpoint, tensors)
    assert notes.sentences == [f"{folder / given} is one of the files of a model: reading all 2 files of weights."]


def test_a_shard_without_the_others(two):
    folder, _ = two
    (folder / INDEX_NAME).unlink()
    (folder / "model-00001-of-00002.safetensors").unlink()
    says = "is not complete: model-00001-of-00002.safetensors is missing"
    for path in (folder / "model-00002-of-00002.safetensors", folder):
        with pytest.raises(CheckpointError, match=says):
            open_checkpoint(path)


def test_a_file_that_the_index_does_not_name_stands_alone(two):
    folder, _ = two
    save_file({"alone": np.ones(1, np.float32)}, folder / "other.safetensors")
    assert list(open_checkpoint(folder / "other.safetensors").infos) == ["alone"]


def test_files_that_the_index_does_not_name_are_told(two):
    folder, tensors = two
    save_file({"stray": np.ones(1, np.float32)}, folder / "model.safetensors")
    notes = Notes()
    assert_holds(open_checkpoint(folder, observer=notes), tensors)
    assert notes.sentences == [f"{folder / INDEX_NAME} does not list model.safetensors: not read."]


def test_shards_of_several_models(two):
    folder, _ = two
    (folder / INDEX_NAME).unlink()
    save_file({"old": np.ones(1, np.float32)}, folder / "model-00001-of-00003.safetensors")
    refused(folder, "has shards of several models (model-00001-of-00002.safetensors, model-00001-of-00003.safetensors)")


def test_a_snapshot_is_named_after_its_repository(one, tmp_path, monkeypatch):
    folder, tensors = one
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--some-org--its.model-1B"
    snapshot = repository / "snapshots" / commit
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (folder / "model.safetensors").rename(repository / "blobs" / "abc")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    (tmp_path / "mine").symlink_to(snapshot)
    for path, name in (
        (snapshot, "its.model-1B"),
        (snapshot / "model.safetensors", "its.model-1B"),
        (repository, "its.model-1B"),
        (tmp_path / "mine", "mine"),
    ):
        checkpoint = open_checkpoint(path)
        assert_holds(checkpoint, tensors)
        assert (checkpoint.name, checkpoint.location) == (name, str(path))
        assert (checkpoint.repository, checkpoint.commit) == ("some-org/its.model-1B", commit)
    monkeypatch.chdir(snapshot)
    assert open_checkpoint(".").name == "its.model-1B"
    refused(tmp_path / "hub", "is not a model, but holds models--some-org--its.model-1B; give the path of that")
    (repository / "snapshots" / commit.replace("0", "f")).mkdir()
    refused(repository, "holds several snapshots; give the path of one: 0123456789abcdef")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    assert_holds(open_checkpoint(repository), tensors)


def test_other_folders_are_of_no_repository(one):
    checkpoint = open_checkpoint(one[0])
    assert (checkpoint.repository, checkpoint.commit) == (None, None)


def test_a_folder_of_links_to_files_of_the_same_names(two, tmp_path):
    folder, tensors = two
    links = tmp_path / "links"
    links.mkdir()
    for file in folder.iterdir():
        (links / file.name).symlink_to(file)
    assert_holds(SafetensorsCheckpoint(links), tensors)


@pytest.mark.parametrize(("path", "name"), [(".", "some-model"), ("..", "some-model"), ("../../link", "link")])
def test_name_is_the_one_a_person_would_say(one, monkeypatch, path, name):
    folder, _ = one
    (folder.parent / "link").symlink_to(folder)
    (folder / "deeper").mkdir()
    monkeypatch.chdir(folder if path == "." else folder / "deeper")
    assert SafetensorsCheckpoint(Path(path)).name == name


def test_other_dtypes_are_listed_and_read_as_they_are(tmp_path):
    save_file({"position_ids": np.arange(4), "mask": np.ones(2, bool)}, tmp_path / "model.safetensors")
    checkpoint = SafetensorsCheckpoint(tmp_path)
    assert {name: info.dtype for name, info in checkpoint.infos.items()} == {"position_ids": "I64", "mask": "BOOL"}
    assert checkpoint.read_bytes("position_ids", 0, 1).view(np.int64).tolist() == [[0, 1, 2, 3]]


def test_any_range_of_rows(one):
    folder, tensors = one
    checkpoint = SafetensorsCheckpoint(folder)
    for name, info in checkpoint.infos.items():
        whole = stored(tensors[name])
        for start in range(info.rows + 1):
            for stop in range(start, info.rows + 1):
                read = checkpoint.read_bytes(name, start, stop)
                np.testing.assert_array_equal(read, whole[start:stop], strict=True)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 6), (3, 2)])
def test_rows_that_do_not_exist(one, start, stop):
    with pytest.raises(IndexError):
        SafetensorsCheckpoint(one[0]).read_bytes("float32.5x3.0", start, stop)


def open_files() -> int:
    """Open file descriptors of this process, where the system tells."""
    return len(list(Path("/proc/self/fd").glob("*")))


def test_many_threads_and_shards_leave_no_file_open(tmp_path):
    tensors = {f"layer.{i:03}": np.full((64, 16), i, np.float32) for i in range(100)}
    write_shards(tmp_path / "many", {f"model-{name}.safetensors": {name: held} for name, held in tensors.items()})
    before = open_files()
    checkpoint = SafetensorsCheckpoint(tmp_path / "many")

    def sum_of(job: int) -> float:
        i, slab = job % 100, job // 100
        return float(checkpoint.read_bytes(f"layer.{i:03}", 16 * slab, 16 * slab + 16).view(np.float32).sum())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(sum_of, range(400))) == [256.0 * (job % 100) for job in range(400)]
    assert open_files() <= before
    checkpoint.close()


def test_memory_is_what_was_asked_for(tmp_path):
    save_file({"wide": np.ones((64, 65536), np.float32)}, tmp_path / "model.safetensors")
    tracemalloc.start()
    try:
        checkpoint = SafetensorsCheckpoint(tmp_path)
        checkpoint.read_bytes("wide", 3, 4)
        assert tracemalloc.get_traced_memory()[1] < 2 * 65536 * 4
    finally:
        tracemalloc.stop()


def refused(path: Path, says: str, kind: type[Exception] = CheckpointError) -> None:
    with pytest.raises(kind, match=re.escape(says)) as raised:
        open_checkpoint(path)
    assert str(path) in str(raised.value)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", ["missing", "missing/deeper/still", "missing.safetensors", "nul\0byte"])
def test_no_such_path(tmp_path, path):
    refused(tmp_path / path, "does not exist; check the path")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("model.bin", b"", "is empty, so it cannot be read as a model"),
        ("model.bin", b"PK\3\4", "is a zip archive, as PyTorch writes it"),
        ("model.pth", b"\x80\x02", "is a Python pickle, as PyTorch writes it"),
        ("model", b"nothing known", "is not a safetensors file; choose a model folder"),
        ("config.json", b"{}", "is one of the small files of a model; give the path of its folder"),
    ],
)
def test_a_file_of_another_kind(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, says, UnsupportedError)


def test_an_empty_folder(tmp_path):
    refused(tmp_path, "is empty; choose the folder of a downloaded model")
    (tmp_path / "notes").write_bytes(b"")
    refused(tmp_path, "does not hold model*.safetensors; choose the folder of a downloaded model")


def test_a_folder_of_models(one):
    folder, _ = one
    (folder / "config.json").write_text("{}")
    refused(folder.parent, "is not a model, but holds some-model; give the path of that")


@pytest.mark.parametrize("trace", ["model.safetensors.incomplete", "model-00001-of-00002.safetensors.part"])
def test_a_download_that_has_not_ended(tmp_path, trace):
    (tmp_path / trace).write_bytes(b"")
    refused(tmp_path, f"The download of {tmp_path} has not ended, because {tmp_path / trace} is there")


def test_a_shard_whose_download_has_not_ended(two):
    folder, _ = two
    lost = folder / "model-00002-of-00002.safetensors"
    lost.rename(folder / f"{lost.name}.part")
    refused(folder, f"The download of {folder} has not ended, because {lost}.part is there; go on with it")


def test_a_download_by_the_hubs_own_command_that_has_not_ended(tmp_path):
    inner = tmp_path / ".cache" / "huggingface" / "download"
    inner.mkdir(parents=True)
    (inner / "abc=.def.incomplete").write_bytes(b"")
    refused(tmp_path, "abc=.def.incomplete is there; go on with it")


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("pytorch_model.bin", "only pytorch_model.bin, PyTorch's format; load it in PyTorch and save"),
        ("consolidated.00.pth", "only consolidated.00.pth, Mistral's or Meta's own layout; take"),
        ("model-q4.gguf", "only model-q4.gguf; give the path of that file"),
        ("adapter_model.safetensors", "only adapter_model.safetensors, an adapter; merge it into its base model"),
        (
            "consolidated.safetensors",
            "only consolidated.safetensors, Mistral's or Meta's own layout; take the model's Hugging Face",
        ),
        ("other.safetensors", "only other.safetensors; give the path of that file"),
        ("model_index.json", "only model_index.json, a pipeline of several models, as diffusers saves it"),
        ("model.onnx", "only model.onnx, ONNX's format; take the model's safetensors files"),
    ],
)
def test_a_folder_with_other_weights(tmp_path, file, says):
    (tmp_path / file).write_bytes(b"")
    refused(tmp_path, says, UnsupportedError)


def test_a_model_without_tensors(tmp_path):
    save_file({}, tmp_path / "model.safetensors")
    refused(tmp_path, "does not hold any tensors")


def test_a_damaged_file_in_a_folder(one):
    folder, _ = one
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    size = path.stat().st_size
    refused(folder, f"is not complete: it has {size:,} of {size + 1:,} bytes, so 1 of them are missing")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{", "is not a JSON object"),
        (b"\xff", "is not a JSON object"),
        (b"[]", "is not a JSON object (it is [])"),
        (b"{}", "does not have a weight_map"),
        (b'{"weight_map": ["a"]}', "does not have a weight_map"),
        (b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "it has the key 'a' 2 times"),
        (b'{"weight_map": {}}', "does not hold any tensors"),
        (b'{"weight_map": {"a": "\\ud800.safetensors"}}', "has half of a surrogate pair"),
        (b'{"weight_map": ' + b"[" * 200_000, "nested too deeply"),
    ],
)
def test_a_broken_index(tmp_path, text, says):
    (tmp_path / INDEX_NAME).write_bytes(text)
    refused(tmp_path, says)


@pytest.mark.parametrize(
    "shard",
    [
        "../outside.safetensors",
        "/etc/outside.safetensors",
        "sub/shard.safetensors",
        "sub\\shard.safetensors",
        "C:shard.safetensors",
        "..",
        "",
        ".safetensors\n",
        "nul\0.safetensors",
        "config.json",
        7,
        None,
    ],
)
def test_an_index_that_leaves_the_folder(tmp_path, shard):
    save_file({"a": np.ones(1, np.float32)}, tmp_path / "outside.safetensors")
    (tmp_path / "model").mkdir()
    write_index(tmp_path / "model", {"a": shard})
    refused(tmp_path / "model", "which is not the name of a .safetensors file beside it")


def test_a_missing_shard(two):
    folder, _ = two
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(
        folder, "is not complete: model-00002-of-00002.safetensors is missing; download it, or the whole model, again"
    )
    (folder / "model-00001-of-00002.safetensors").unlink()
    refused(folder, "model-00001-of-00002.safetensors, model-00002-of-00002.safetensors are missing; download them")


def test_a_shard_name_too_long_for_the_system(tmp_path):
    write_index(tmp_path, {"a": "a" * 5000 + ".safetensors"})
    refused(tmp_path, "which is not the name of a .safetensors file beside it")


def test_an_index_of_too_many_files(tmp_path):
    write_index(tmp_path, {f"t{i}": f"{i}.safetensors" for i in range(10_001)})
    refused(tmp_path, "names 10,001 files, but 10,000 is the limit")


def test_a_listed_tensor_that_its_shard_lacks(two):
    folder, tensors = two
    write_index(folder, dict.fromkeys(tensors, "model-00001-of-00002.safetensors"))
    refused(folder, "is not in model-00001-of-00002.safetensors")


def test_a_tensor_that_the_index_lacks(two):
    folder, tensors = two
    write_index(
        folder, {name: f"model-0000{3 - int(name[-1])}-of-00002.safetensors" for name in tensors if name[0] != "b"}
    )
    refused(folder, "does not list tensor 'bfloat16.")


def test_a_tensor_in_two_shards(two):
    folder, _ = two
    save_file(tensors_of(1), folder / "model-00001-of-00002.safetensors")
    refused(folder, "is in both model-00001-of-00002.safetensors and model-00002-of-00002.safetensors")


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    refused(tmp_path, "cannot be read (Is a directory)")


def test_a_pipe_in_place_of_a_file_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    refused(tmp_path, "is not a regular file")


def test_a_device_in_place_of_a_file(tmp_path):
    (tmp_path / "model.safetensors").symlink_to("/dev/zero")
    refused(tmp_path, "is not a regular file")


def test_a_dangling_link(tmp_path):
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    refused(tmp_path, "model.safetensors is missing")


@pytest.mark.parametrize("change", ["cut", "replaced", "gone"])
def test_a_file_that_changes_after_its_header_was_read(one, change):
    folder, tensors = one
    checkpoint = SafetensorsCheckpoint(folder)
    path = folder / "model.safetensors"
    if change == "cut":
        os.truncate(path, 100)
    elif change == "replaced":
        save_file(tensors, path)
        os.utime(path, ns=(0, 0))
    else:
        path.unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors (has changed|is missing)"):
        checkpoint.read_bytes("float32.5x3.0", 0, 5)
