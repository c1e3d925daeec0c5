"""How downloads are told of, and how they end early; `huggingface_hub`'s part is played by functions of the tests."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from io import StringIO

import pytest

from quantize_cli.checkpoints import download as module
from quantize_cli.checkpoints.download import download, quiet
from quantize_cli.checkpoints.remote import RemoteFile
from quantize_cli.errors import CheckpointError
from quantize_cli.observer import Observer


class Recorder(Observer):
    def __init__(self):
        self.bytes = 0

    def downloaded(self, nbytes):
        self.bytes += nbytes


def downloading(monkeypatch, folder, function):
    """Let `function` of a file's name and a progress bar be what downloads."""

    def hf_hub_download(model_id, name, *, revision, tqdm_class):
        assert (model_id, revision) == ("org/model", "commit")
        with tqdm_class(total=100, initial=0, desc=name, unit="B") as bar:
            function(name, bar)
        path = folder / name
        path.write_bytes(bytes(100))
        return str(path)

    monkeypatch.setattr(module, "hf_hub_download", hf_hub_download)


def files(*names, size=100, sha256=None):
    return [RemoteFile(name, size, sha256) for name in names]


def wait_for_the_end():
    """The threads that download end by themselves; this is for a test that would otherwise hang."""
    deadline = time.monotonic() + 60
    for thread in threading.enumerate():
        if thread.name.startswith("download"):
            thread.join(deadline - time.monotonic())
            assert not thread.is_alive()


def test_bytes_are_told_once_however_they_come(monkeypatch, tmp_path, capfd):
    def get(name, bar):
        bar.update(60)
        bar.update_transfer(60)  # the same bytes, compressed, on their way
        bar.set_transfer_postfix_str("1 MB/s", refresh=False)
        bar.update(-10)  # a server that cannot go on where the connection broke begins anew
        bar.update(50)

    downloading(monkeypatch, tmp_path, get)
    recorder = Recorder()
    download("org/model", "commit", files("a", "b", "c"), recorder)
    assert recorder.bytes == 300
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("steps", [[60, 41], [60, -60] * 6, [101]])
def test_a_server_that_sends_more_than_the_file_is_stopped(monkeypatch, tmp_path, steps):
    downloading(monkeypatch, tmp_path, lambda _name, bar: [bar.update(step) for step in steps])
    with pytest.raises(CheckpointError, match="The server sends more than the 100 bytes that org/model/a can have"):
        download("org/model", "commit", files("a"), Recorder())


@pytest.mark.parametrize(("size", "sha256"), [(99, None), (101, None), (100, "0" * 64)])
def test_a_file_that_differs_from_the_list_is_removed(monkeypatch, tmp_path, size, sha256):
    downloading(monkeypatch, tmp_path, lambda _name, bar: bar.update(size))
    with pytest.raises(CheckpointError, match="org/model/a was damaged on its way, because its size or SHA-256"):
        download("org/model", "commit", files("a", size=size, sha256=sha256), Recorder())
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_listed_sum_stays(monkeypatch, tmp_path):
    downloading(monkeypatch, tmp_path, lambda _name, bar: bar.update(100))
    download("org/model", "commit", files("a", sha256=hashlib.sha256(bytes(100)).hexdigest()), Recorder())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def endless(_name, bar):
    while True:
        bar.update(1)


def test_an_observer_that_fails_stops_all_downloads(monkeypatch, tmp_path):
    class Failing(Observer):
        def downloaded(self, nbytes):
            raise KeyboardInterrupt

    downloading(monkeypatch, tmp_path, endless)
    with pytest.raises(KeyboardInterrupt):
        download("org/model", "commit", files(*map(str, range(20)), size=1 << 60), Failing())
    wait_for_the_end()


def test_a_file_that_fails_stops_the_others(monkeypatch, tmp_path):
    def get(name, bar):
        if name == "b":
            raise OSError("disk on fire")
        endless(name, bar)

    downloading(monkeypatch, tmp_path, get)
    with pytest.raises(CheckpointError, match=r"org/model .*could not be downloaded from .*\(disk on fire\)"):
        download("org/model", "commit", files("a", "b", "c", size=1 << 60), Recorder())
    wait_for_the_end()


def test_the_librarys_warnings_are_silent_and_heard_again_later(monkeypatch):
    (handler,) = logging.getLogger("huggingface_hub").handlers
    shown = StringIO()
    monkeypatch.setattr(handler, "stream", shown)
    logger = logging.getLogger("huggingface_hub.some.part")
    with quiet():
        logger.warning("silent")
        with quiet():
            logger.warning("silent")
        logger.warning("silent")
    logger.warning("heard")
    assert shown.getvalue() == "heard\n"
