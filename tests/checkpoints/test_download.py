"""How downloads are told of, and how they end early; `huggingface_hub`'s part is played by functions of the tests."""

from __future__ import annotations

import logging
import threading
import time
from io import StringIO

import pytest

from quantize_cli.checkpoints import download as module
from quantize_cli.checkpoints.download import download, quiet
from quantize_cli.errors import CheckpointError
from quantize_cli.observer import Observer


class Recorder(Observer):
    def __init__(self):
        self.bytes = 0

    def downloaded(self, nbytes):
        self.bytes += nbytes


def downloading(monkeypatch, function):
    """Let `function` of a file's name and a progress bar be what downloads."""

    def hf_hub_download(model_id, name, *, revision, tqdm_class):
        assert (model_id, revision) == ("org/model", "commit")
        with tqdm_class(total=100, initial=0, desc=name, unit="B") as bar:
            function(name, bar)

    monkeypatch.setattr(module, "hf_hub_download", hf_hub_download)


def wait_for_the_end():
    """The threads that download end by themselves; this is for a test that would otherwise hang."""
    deadline = time.monotonic() + 60
    for thread in threading.enumerate():
        if thread.name.startswith("download"):
            thread.join(deadline - time.monotonic())
            assert not thread.is_alive()


def test_bytes_are_told_once_however_they_come(monkeypatch, capfd):
    def get(name, bar):
        bar.update(60)
        bar.update_transfer(60)  # the same bytes, compressed, on their way
        bar.set_transfer_postfix_str("1 MB/s", refresh=False)
        bar.update(-10)  # a server that cannot go on where the connection broke begins anew
        bar.update(50)

    downloading(monkeypatch, get)
    recorder = Recorder()
    download("org/model", "commit", ["a", "b", "c"], recorder)
    assert recorder.bytes == 300
    assert capfd.readouterr() == ("", "")


def endless(_name, bar):
    while True:
        bar.update(1)


def test_an_observer_that_fails_stops_all_downloads(monkeypatch):
    class Failing(Observer):
        def downloaded(self, nbytes):
            raise KeyboardInterrupt

    downloading(monkeypatch, endless)
    with pytest.raises(KeyboardInterrupt):
        download("org/model", "commit", [str(number) for number in range(20)], Failing())
    wait_for_the_end()


def test_a_file_that_fails_stops_the_others(monkeypatch):
    def get(name, bar):
        if name == "b":
            raise OSError("disk on fire")
        endless(name, bar)

    downloading(monkeypatch, get)
    with pytest.raises(CheckpointError, match=r"org/model .*could not be downloaded from .*\(disk on fire\)"):
        download("org/model", "commit", ["a", "b", "c"], Recorder())
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
