"""Threads that hash and write beside the run."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from quantize_cli.errors import OutputError
from quantize_cli.outputs import lanes, write_back
from quantize_cli.outputs.lanes import Lane, beside
from quantize_cli.outputs.sinks import Output, replacing
from quantize_cli.outputs.write_back import WriteBack


@pytest.fixture
def lane():
    lane = Lane("test", 2)
    yield lane
    lane.stop()


@pytest.fixture
def no_threads(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_work_is_done_in_order_and_beside_its_owner(lane):
    done: list[tuple[int, str]] = []
    for number in range(100):
        lane.do(lambda number=number: done.append((number, threading.current_thread().name)))
    lane.settle()
    assert done == [(number, "test") for number in range(100)]


def test_no_more_waits_than_is_allowed(lane):
    """Two pieces may wait or be worked on; a third is refused, or its owner waits."""
    go_on = threading.Event()
    assert lane.offer(go_on.wait)
    assert lane.offer(go_on.wait)
    assert not lane.offer(go_on.wait)
    go_on.set()
    lane.settle()
    assert lane.offer(go_on.wait)


def test_an_error_reaches_the_owner_and_ends_the_work(lane):
    done = []

    def fail():
        raise KeyError("of the work")

    lane.offer(fail)
    with pytest.raises(KeyError, match="of the work"):
        lane.settle()
    with pytest.raises(KeyError, match="of the work"):
        lane.do(lambda: done.append("never"))
    lane.stop()
    assert not done


def test_what_waits_is_forgotten_when_the_lane_is_stopped(lane):
    started, go_on, done = threading.Event(), threading.Event(), []

    def work():
        started.set()
        go_on.wait()

    lane.do(work)
    started.wait()
    lane.offer(lambda: done.append("never"))
    stopping = threading.Thread(target=lane.stop)
    stopping.start()
    while not lane._stopped:
        pass
    go_on.set()
    stopping.join()
    assert not done


def test_without_threads_the_owner_works(no_threads, tmp_path):
    lane, done = Lane("test", 2), []
    lane.do(lambda: done.append(threading.current_thread()))
    assert done == [threading.main_thread()]
    assert not lane.offer(lambda: done.append("never"))
    lane.settle()
    lane.stop()
    with replacing([tmp_path / "model.gguf"], force=False) as (sink,):
        sink.write(b"data")
        sink.mark()
        assert len(sink.marks()) == 1
    assert (tmp_path / "model.gguf").read_bytes() == b"data"


def test_each_error_names_its_own_file_though_files_share_a_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes, "_MOST", 1)
    with (tmp_path / "full").open("wb") as full, (tmp_path / "good").open("wb", buffering=0) as good:
        os.close(full.fileno())
        with beside(2, files=True) as threads:
            outputs = [
                Output(file, Path(file.name), "-o", its) for file, its in zip((full, good), threads, strict=True)
            ]
            outputs[0].write(b"x" * 100_000)
            with pytest.raises(OutputError, match=r"full cannot be written"):
                outputs[1].flush()
        os.dup2(good.fileno(), full.fileno())  # for its end


def test_many_outputs_share_some_threads(tmp_path):
    paths = [tmp_path / f"{number}.gguf" for number in range(2 * lanes._MOST + 1)]
    before = threading.active_count()
    with replacing(paths, force=False) as sinks:
        assert threading.active_count() == before + 3 * lanes._MOST
        for number, sink in enumerate(sinks):
            sink.write(b"%d" % number)
    assert threading.active_count() == before
    assert [path.read_bytes() for path in paths] == [b"%d" % number for number in range(len(paths))]


@pytest.mark.parametrize("nbytes", [10, 25, 40])
def test_the_system_is_asked_for_each_byte_once(nbytes, lane, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(write_back, "_STEP", 10)
    monkeypatch.setattr(write_back, "_SYNC_FILE_RANGE", lambda *arguments: asked.append(arguments))
    with (tmp_path / "file").open("wb") as file:
        back = WriteBack(file, lane)
        for place in range(nbytes + 1):
            back.begin(place)
            lane.settle()
        number = file.fileno()
    assert [(start, count) for _, start, count, _ in asked] == [(start, 10) for start in range(0, nbytes - 9, 10)]
    assert {descriptor for descriptor, *_ in asked} == {number}


def test_a_busy_disk_is_asked_for_more_at_a_time(lane, tmp_path, monkeypatch):
    asked, go_on = [], threading.Event()

    def ask(_descriptor, start, nbytes, _flags):
        asked.append((start, nbytes))
        go_on.wait()

    monkeypatch.setattr(write_back, "_STEP", 10)
    monkeypatch.setattr(write_back, "_SYNC_FILE_RANGE", ask)
    with (tmp_path / "file").open("wb") as file:
        back = WriteBack(file, lane)
        for place in (10, 20, 30, 40):  # one in the works and one that waits
            back.begin(place)
        go_on.set()
        lane.settle()
        back.begin(50)
        lane.settle()
    assert asked == [(0, 10), (10, 10), (20, 30)]


def test_a_closed_file_and_a_system_without_the_call_are_left_alone(lane, tmp_path, monkeypatch):
    file = (tmp_path / "file").open("wb")
    file.close()
    WriteBack(file, lane).begin(write_back._STEP)
    lane.settle()
    monkeypatch.setattr(write_back, "_SYNC_FILE_RANGE", None)
    WriteBack(file, lane).begin(write_back._STEP)
    lane.settle()
