"""Streams, devices and pipes, and what is known of every output at the end."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from pathlib import Path

import pytest

from quantize_cli.errors import OutputError, UsageError
from quantize_cli.outputs.sinks import Written, replacing, streaming, takes_a_stream

PARTS = [b"GGUF", bytes(100_000), os.urandom(300_000), b""]
WHOLE = b"".join(PARTS)
SHA256 = hashlib.sha256(WHOLE).hexdigest()


def write(sink):
    for part in PARTS:
        sink.write(memoryview(part))


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "no threads"])
def test_files_and_streams_know_their_size_and_hash(threads, tmp_path, monkeypatch):
    if not threads:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
    paths = [tmp_path / "1.gguf", tmp_path / "2.gguf"]
    with replacing(paths, force=False) as sinks:
        write(sinks[0])
        sinks[1].write(b"other")
    assert sinks[0].written == Written(paths[0], len(WHOLE), SHA256)
    assert sinks[1].written == Written(paths[1], 5, hashlib.sha256(b"other").hexdigest())
    stream = io.BytesIO()
    with streaming(stream) as sink:
        write(sink)
    assert sink.written == Written(None, len(WHOLE), SHA256)
    assert stream.getvalue() == WHOLE


def no_thread(_self):
    raise RuntimeError("can't start new thread")


class Reluctant(io.RawIOBase):
    """Takes at most 1,000 bytes at a time, as a raw stream may."""

    def __init__(self):
        self.held = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.held += data[:1000]
        return min(len(data), 1000)


def test_a_raw_stream_that_takes_less_gets_the_rest():
    stream = Reluctant()
    with streaming(stream) as sink:
        write(sink)
    assert stream.held == WHOLE


def test_a_failure_of_the_run_is_not_blamed_on_the_output(tmp_path):
    """The kernel cache, standard error and the checkpoint have errors of their own."""
    for opened in (replacing([tmp_path / "model.gguf"], force=False), streaming(io.BytesIO())):
        with pytest.raises(OSError, match="somewhere else") as raised, opened:
            raise OSError("somewhere else")
        assert not isinstance(raised.value, OutputError)
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_gets_the_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert takes_a_stream(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with streaming(pipe) as sink:
        write(sink)
    reader.join()
    assert read == [WHOLE]
    assert sink.written == Written(pipe, len(WHOLE), SHA256)


def test_a_device_is_a_stream_and_a_terminal_is_refused():
    with streaming(Path(os.devnull)) as sink:
        write(sink)
    assert sink.written.sha256 == SHA256
    ours, its = os.openpty()
    try:
        with pytest.raises(UsageError, match="is a terminal"), streaming(Path(os.ttyname(its))):
            pass
    finally:
        os.close(ours)
        os.close(its)


def test_a_device_that_is_full_is_a_sentence():
    with (
        pytest.raises(OutputError, match=r"/dev/full cannot be written \(No space left"),
        streaming(Path("/dev/full")) as sink,
    ):
        write(sink)


def test_files_and_folders_are_no_streams(tmp_path):
    (tmp_path / "file").touch()
    assert [takes_a_stream(path) for path in (tmp_path, tmp_path / "file", tmp_path / "none")] == [False] * 3
