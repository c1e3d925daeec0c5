"""What is left when a process is killed: nothing where the system has files without names, a named file elsewhere."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from quantize_cli.errors import OutputError
from quantize_cli.outputs.leftovers import leftovers
from quantize_cli.outputs.sinks import replacing
from quantize_cli.outputs.unfinished import remove_unfinished

KILLED = """
import os, sys
from pathlib import Path
from quantize_cli.outputs.sinks import replacing
if sys.argv[2] == "named":
    del os.O_TMPFILE
with replacing([Path(sys.argv[1])], force=True) as (sink,):
    sink.write(bytes(100_000))
    print(flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def killed(kind, tmp_path):
    """A process in the middle of its work, which can be killed."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "model.gguf"), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"\n"
        yield process
        process.kill()


def test_what_a_killed_run_leaves_is_named_once_it_is_dead(kind, killed, tmp_path):
    assert list(leftovers([tmp_path])) == []
    killed.kill()
    killed.wait()
    left = list(tmp_path.iterdir())
    if kind == "unnamed":
        assert left == []
    else:
        assert list(leftovers([tmp_path])) == [
            f"{left[0]} ({left[0].stat().st_size:,} bytes) is left from a run that was killed; delete it."
        ]
    assert list(tmp_path.iterdir()) == left


def test_an_older_file_that_was_moved_aside_is_not_called_rubbish(tmp_path):
    (tmp_path / ".quantize-0123.old").write_bytes(bytes(1_000))
    (said,) = leftovers([tmp_path])
    assert ".quantize-0123.old (1,000 bytes) is an older output" in said
    assert "give it a name, or delete it" in said


@pytest.mark.parametrize("name", [".quantize-1", "quantize-1.tmp", ".other.tmp"])
def test_other_files_are_nobodys_business(name, tmp_path):
    (tmp_path / name).touch()
    (tmp_path / ".quantize-2.tmp").mkdir()
    os.mkfifo(tmp_path / ".quantize-3.tmp")
    (tmp_path / ".quantize-4.tmp").symlink_to(tmp_path / name)
    assert list(leftovers([tmp_path, tmp_path / "missing"])) == []


def test_a_process_that_ends_at_once_can_remove_its_files(kind, tmp_path):
    def run():
        with replacing([tmp_path / "model.gguf"], force=False):
            remove_unfinished()
            assert list(tmp_path.iterdir()) == []
            raise OutputError

    with pytest.raises(OutputError):
        run()


def test_a_file_system_without_files_without_names_is_tried_once(tmp_path, monkeypatch):
    """An old network file system refuses O_TMPFILE; /proc may not be there to give the file a name."""
    usual = os.link

    def link(source, *arguments, **options):
        if str(source).startswith("/proc"):
            raise OSError(errno.ENOENT, "No such file or directory")
        return usual(source, *arguments, **options)

    monkeypatch.setattr(os, "link", link)
    with replacing([tmp_path / "model.gguf"], force=False) as (sink,):
        sink.write(b"data")
        assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


@pytest.mark.usefixtures("kind")
def test_a_file_system_without_locks_and_sync_will_do(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    with replacing([tmp_path / "model.gguf"], force=False) as (sink,):
        sink.write(b"data")
    assert (tmp_path / "model.gguf").read_bytes() == b"data"
