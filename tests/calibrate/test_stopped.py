"""A calibration that was stopped goes on, and what it writes depends on its inputs alone."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch
from engine import relative
from prompt import EXAMPLE, Stopper, calibrated, copied, left
from safetensors.numpy import load_file, save_file

from quantize_cli.calibrate import measuring
from quantize_cli.calibrate.work import Work
from quantize_cli.errors import OutputError
from quantize_cli.sensitivity.read import read_calibration


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a run that is not stopped writes."""
    return calibrated(tmp_path_factory.mktemp("whole") / "c.gguf")


@pytest.mark.parametrize(
    "stop", [("importance", 2), ("importance", 4), ("labels", 2), ("sensitivity", 1), ("sensitivity", 4)]
)
def test_a_stopped_run_goes_on(stop, whole, tmp_path, monkeypatch):
    output, steps = tmp_path / "c.gguf", []
    with pytest.raises(KeyboardInterrupt):
        calibrated(output, observer=Stopper(*stop))
    assert left(tmp_path) == [".c.gguf.unfinished"]
    for name in ("_forward", "_backward"):
        own = getattr(measuring._Measuring, name)

        def step(self, number, own=own):
            steps.append(number)
            return own(self, number)

        monkeypatch.setattr(measuring._Measuring, name, step)
    assert calibrated(output) == whole
    assert left(tmp_path) == ["c.gguf"]
    done = {"importance": stop[1], "labels": 4, "sensitivity": 4 + stop[1]}[stop[0]]
    assert len(steps) == 8 - done


def test_other_options_do_not_take_what_a_stopped_run_has_left(whole, tmp_path):
    output = tmp_path / "c.gguf"
    with pytest.raises(KeyboardInterrupt):
        calibrated(output, observer=Stopper("sensitivity", 2), seed=1)
    assert calibrated(output) == whole
    assert left(tmp_path) == ["c.gguf"]


def test_a_damaged_leftover_is_told(tmp_path):
    output = tmp_path / "c.gguf"
    with pytest.raises(KeyboardInterrupt):
        calibrated(output, observer=Stopper("importance", 2))
    (tmp_path / ".c.gguf.unfinished" / "squares-0.npz").write_bytes(b"")
    with pytest.raises(
        OutputError, match=r"squares-0.npz, which a stopped run has left, is damaged; remove .*unfinished"
    ):
        calibrated(output)


def test_the_same_inputs_give_the_same_bytes(whole, tmp_path, monkeypatch):
    """Whatever the number of threads that quantize."""
    assert calibrated(tmp_path / "again.gguf") == whole
    assert calibrated(tmp_path / "seed.gguf", seed=1) != whole
    monkeypatch.setattr("quantize_cli.calibrate.calibrate.available_threads", lambda: 2)
    assert calibrated(tmp_path / "threads.gguf") == whole


def test_threads_of_torch_change_last_bits_alone(tmp_path):
    """Its products are sums whose order depends on their number."""
    one, two = tmp_path / "one.gguf", tmp_path / "two.gguf"
    calibrated(one)
    torch.set_num_threads(2)
    try:
        calibrated(two)
    finally:
        torch.set_num_threads(1)
    expected = {tensor.name: tensor for tensor in read_calibration(one).tensors}
    found = read_calibration(two).tensors
    assert len(found) == len(expected)
    for tensor in found:
        assert tensor.costs == pytest.approx(expected[tensor.name].costs, rel=0.05)
        assert np.array_equal(tensor.counts, expected[tensor.name].counts)
        if tensor.squares.size:
            assert relative(tensor.squares, expected[tensor.name].squares) < 1e-5


def test_shards_give_the_same_bytes(whole, tmp_path):
    model = copied(tmp_path / EXAMPLE.name)
    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    names = {name: f"model-{number % 2 + 1:05}-of-00002.safetensors" for number, name in enumerate(tensors)}
    for file in set(names.values()):
        save_file({name: tensors[name] for name in tensors if names[name] == file}, model / file)
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert calibrated(tmp_path / "c.gguf", model) == whole


def test_what_is_written_can_be_read(tmp_path):
    calibrated(tmp_path / "c.gguf", dtype="bf16")
    found = read_calibration(tmp_path / "c.gguf")
    assert found.sequences == 3
    assert len(found.blocks) == 4
    assert {name for tensor in found.tensors for name in tensor.costs} == {"Q4_0", "Q8_0"}
    assert all(np.isfinite(list(tensor.costs.values())).all() for tensor in found.tensors)


def test_two_runs_do_not_share_a_folder(tmp_path):
    first = Work(tmp_path / "c.gguf", {})
    with pytest.raises(OutputError, match=r"Another run is writing .*c.gguf; wait until it has ended"):
        calibrated(tmp_path / "c.gguf")
    with first:
        assert left(tmp_path) == [".c.gguf.unfinished"]
    calibrated(tmp_path / "c.gguf")
    assert left(tmp_path) == ["c.gguf"]


def test_a_folder_that_was_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    """As where another run ends between the opening of its folder and the lock."""
    locked = fcntl.flock

    def late(descriptor, how):
        monkeypatch.setattr(fcntl, "flock", locked)
        (tmp_path / ".c.gguf.unfinished").rmdir()
        locked(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Work(tmp_path / "c.gguf", {"a": 1}) as work:
        assert (work.folder / "key.json").read_text() == '{"a": 1}'


@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
def test_what_is_not_a_folder_is_not_written_to(kind, tmp_path):
    place, other = tmp_path / ".c.gguf.unfinished", tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    if kind == "file":
        place.write_text("x")
    else:
        place.symlink_to(other if kind == "link" else tmp_path / "nowhere")
    before = left(tmp_path)
    with pytest.raises(OutputError, match="unfinished is not a folder of yours, and unfinished work would lie there"):
        calibrated(tmp_path / "c.gguf")
    assert left(tmp_path) == before
    assert left(other) == ["precious"]


def test_states_are_not_written_through_links(tmp_path):
    with Work(tmp_path / "c.gguf", {}) as work:
        (work.folder / "hidden-0.states").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OutputError, match=r"hidden-0\.states cannot be written"):
            work.states("hidden-0", (2, 2), torch.float32)
    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_without_room_is_told_before(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(1 << 40, 0, 1000))
    with pytest.raises(OutputError, match=r"c\.gguf will take [\d,]+ bytes, but the disk has 1,000 free"):
        calibrated(tmp_path / "c.gguf")
    assert left(tmp_path) == []


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(descriptor, offset, length):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match=r"states cannot be written \(No space left on device\); free some space"):
        calibrated(tmp_path / "c.gguf")
    monkeypatch.undo()
    assert len(calibrated(tmp_path / "c.gguf")) > 0
    assert left(tmp_path) == ["c.gguf"]
