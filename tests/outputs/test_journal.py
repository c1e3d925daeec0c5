"""The journal: records come back as they were noted, up to the first that is damaged, and one run has it at a time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantize_cli.errors import OutputError
from quantize_cli.outputs.hidden import check_alone, hidden_files, room_needed
from quantize_cli.outputs.journal import Grown, Journal, Record, header_of, is_locked
from quantize_cli.outputs.leftovers import leftovers
from quantize_cli.outputs.recovery import Run
from quantize_cli.outputs.resuming import resumable
from quantize_cli.outputs.temporary import Temporary

HEADER = {"identity": {"the source": "1"}, "outputs": ["a.gguf"]}
RECORDS = [Record({0: Grown(10 * n, "ab", ""), 3: Grown(n, "cd", "ef" * 32)}, {"slabs": n}) for n in range(1, 4)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".quantize-0123.journal"


@pytest.fixture
def written(path):
    """The bytes of a journal of three records."""
    journal = Journal(path)
    journal.begin(HEADER)
    for record in RECORDS:
        journal.add(record)
    journal.close()
    return path.read_bytes()


def read(path):
    journal = Journal(path)
    journal.close()
    return journal.held


def test_what_is_noted_is_read_again(written, path):
    held = read(path)
    assert (held.header, held.records, held.damaged) == (HEADER, RECORDS, False)
    assert header_of(path) == HEADER


def test_a_new_journal_is_empty(path):
    held = read(path)
    assert (held.header, held.records, held.damaged) == (None, [], False)


def test_a_kill_in_the_middle_of_a_record_leaves_those_before_it(written, path):
    for end in range(len(written)):
        path.write_bytes(written[:end])
        held = read(path)
        lines = written[:end].count(b"\n")
        assert held.header == (HEADER if lines else None)
        assert held.records == RECORDS[: max(0, lines - 1)]
        assert not held.damaged


def test_every_changed_byte_is_noticed(written, path):
    """Byte by byte: no record at or behind it is believed."""
    for place in range(len(written)):
        data = bytearray(written)
        data[place] ^= 1
        path.write_bytes(data)
        line = written[:place].count(b"\n")
        held = read(path)
        assert held.header == (HEADER if line else None)
        assert held.records == RECORDS[: max(0, line - 1)]


@given(st.binary(max_size=200))
def test_no_content_is_an_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "journal"
    path.write_bytes(data)
    assert read(path).records == []
    assert header_of(path) is None


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"files": 1, "state": 1},
        {"files": {"x": [1, "a"]}, "state": 1},
        {"files": {"0": [1]}, "state": 1},
        {"files": {"0": [1, "ab", "ef"]}, "state": 1},
    ],
)
def test_a_line_that_is_not_a_record_ends_the_journal(content, written, path):
    journal = Journal(path)
    journal.keep(1)
    journal._append(content)
    journal.add(RECORDS[1])
    journal.close()
    held = read(path)
    assert (held.records, held.damaged) == (RECORDS[:1], True)


def test_records_are_appended_to_those_that_are_kept(written, path):
    path.write_bytes(written + b"incomplete")
    journal = Journal(path)
    journal.keep(1)
    journal.add(RECORDS[2])
    journal.close()
    assert read(path).records == [RECORDS[0], RECORDS[2]]


# The lock.


def test_two_runs_cannot_have_a_journal(path):
    journal = Journal(path)
    assert is_locked(path)
    with pytest.raises(BlockingIOError):
        Journal(path)
    journal.close()
    assert not is_locked(path)
    Journal(path).close()


def test_a_journal_that_is_removed_while_another_run_waits_is_made_anew(path, monkeypatch):
    path.touch()
    usual = fcntl.flock
    came = []

    def flock(descriptor, how):
        if not came:
            came.append(descriptor)
            path.unlink()
        usual(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    journal = Journal(path)
    assert os.path.samestat(os.fstat(journal._descriptor), path.stat())
    journal.close()


KILLED = """
import os, sys
from pathlib import Path
from quantize_cli.outputs.journal import Journal
journal = Journal(Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


def test_the_lock_of_a_killed_process_is_free(path):
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    Journal(path).close()


# What others may have laid in our way.


def test_links_are_not_followed(tmp_path, path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    path.symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        Journal(path)
    path.unlink()
    path.hardlink_to(precious)
    Journal(path).begin(HEADER)
    assert precious.read_text() == "precious"


def a_run(key="0123", restart=False, tell=lambda _sentence: None):
    return Run(key, {"the source": "1"}, restart=restart, tell=tell)


@pytest.mark.parametrize("way", ["hardlink_to", "symlink_to"])
def test_nor_where_the_data_should_be(way, tmp_path):
    (tmp_path / "precious").write_text("precious")
    (name,) = hidden_files("0123", [tmp_path / "a.gguf"]).data
    getattr(name, way)(tmp_path / "precious")
    refused = pytest.raises(OutputError, match="symbolic links") if way == "symlink_to" else nullcontext()
    with refused, resumable([tmp_path / "a.gguf"], a_run(), force=False) as run:
        run.outputs[0].write(b"data")
    assert (tmp_path / "precious").read_text() == "precious"


# Outputs that go on.


def stopped(paths, parts, *, noted):
    """Write parts to every file; stop after one more that is not noted."""
    with suppress(KeyboardInterrupt), resumable(paths, a_run(), force=False) as outputs:
        for number, part in enumerate(parts):
            for output in outputs.outputs:
                output.write(part)
            if number < noted:
                outputs.record({"part": number})
        raise KeyboardInterrupt


def test_a_file_goes_on_behind_the_last_record(tmp_path):
    paths = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    stopped(paths, [b"one ", b"two ", b"lost "], noted=2)
    told = []
    with resumable(paths, a_run(tell=told.append), force=False) as run:
        assert run.states == [{"part": 0}, {"part": 1}]
        for output in run.outputs:
            output.write(b"three")
    assert [path.read_bytes() for path in paths] == [b"one two three"] * 2
    assert sorted(tmp_path.iterdir()) == paths
    sha256 = hashlib.sha256(b"one two three").hexdigest()
    assert {output.written.sha256 for output in run.outputs} == {sha256}
    assert told == [
        f"Going on with {paths[0]}, {paths[1]}: an earlier run was stopped after 16 bytes, which are right."
    ]


def test_marks_are_those_of_the_whole_file(tmp_path):
    """A mark is the SHA-256 up to it, whichever run wrote what is before it."""
    expected = [hashlib.sha256(data).digest() for data in (b"one ", b"one two ", b"one two three ")]
    with suppress(KeyboardInterrupt), resumable([tmp_path / "a.gguf"], a_run(), force=False) as run:
        for part in (b"one ", b"two "):
            run.outputs[0].write(part)
            run.outputs[0].mark()
            run.record("state")
        run.outputs[0].write(b"lost")
        run.outputs[0].mark()
        raise KeyboardInterrupt
    with resumable([tmp_path / "a.gguf"], a_run(), force=False) as run:
        run.outputs[0].write(b"three ")
        run.outputs[0].mark()
        assert run.outputs[0].marks() == expected


def test_files_that_are_not_begun_are_begun(tmp_path):
    paths = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    with suppress(KeyboardInterrupt), resumable(paths, a_run(), force=False) as run:
        run.outputs[0].write(b"one")
        run.record("state")
        run.outputs[1].write(b"lost")
        raise KeyboardInterrupt
    with resumable(paths, a_run(), force=False) as run:
        assert run.states == ["state"]
        run.outputs[1].write(b"two")
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]


def test_what_is_left_is_subtracted_from_the_room(tmp_path):
    path = tmp_path / "a.gguf"
    stopped([path], [b"one "], noted=1)
    assert room_needed({path: 10}, "0123") == {path: 6}
    assert room_needed({path: 3}, "0123") == {path: 0}
    assert room_needed({path: 10}, "4567") == {path: 10}
    assert room_needed({}, "0123") == {}


def test_a_run_that_can_go_on_is_one_sentence(tmp_path):
    paths = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    stopped(paths, [b"one "], noted=1)
    start = hidden_files("0123", paths).journal.with_suffix("")
    assert list(leftovers([tmp_path], but="0123")) == []
    assert list(leftovers([tmp_path])) == [
        f"{start}* (8 bytes) is an unfinished run to a.gguf, b.gguf; repeat its command to go on with it, or delete it."
    ]
    (said,) = leftovers([tmp_path], but="4567", outputs=[paths[1]])
    assert said.startswith("An earlier run to a.gguf, b.gguf was stopped, but its model or its options were others")


def test_a_journal_alone_is_left_over(tmp_path, written, path):
    assert list(leftovers([tmp_path])) == [
        f"{path.with_suffix('')}* (0 bytes) is left from a run that was killed; delete it."
    ]


def test_living_runs_are_not_left_over_but_in_the_way(tmp_path):
    path = tmp_path / "a.gguf"
    with resumable([path], a_run(), force=False):
        assert list(leftovers([tmp_path])) == []
        with pytest.raises(OutputError, match=r"Another run is writing .*a\.gguf"):
            check_alone([path])
        check_alone([tmp_path / "b.gguf"])
        for key in ("0123", "4567"):
            with pytest.raises(OutputError, match="Another run"), resumable([path], a_run(key), force=False):
                pytest.fail("it must not begin")
    assert list(tmp_path.iterdir()) == [path]


# What an earlier run has left is never lost by accident.


@pytest.fixture
def left(tmp_path):
    """An output of which an earlier run has left its beginning."""
    path = tmp_path / "a.gguf"
    stopped([path], [b"one "], noted=1)
    return path


def goes_on(path):
    with resumable([path], a_run(), force=True) as run:
        return run.states == [{"part": 0}]


def test_an_interrupt_while_it_is_checked_keeps_it(left, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("quantize_cli.outputs.resuming.recover", interrupted)
    with pytest.raises(KeyboardInterrupt), resumable([left], a_run(), force=False):
        pytest.fail("it must not begin")
    monkeypatch.undo()
    assert goes_on(left)


def test_another_run_in_the_way_keeps_it(left):
    refused = pytest.raises(OutputError, match="Another run")
    with resumable([left], a_run("4567"), force=False), refused, resumable([left], a_run(), force=False):
        pytest.fail("it must not begin")
    assert goes_on(left)


def test_a_name_that_is_taken_meanwhile_keeps_it(left):
    with pytest.raises(OutputError, match="created by something else"), resumable([left], a_run(), force=False):
        left.write_text("theirs")
    assert goes_on(left)
    assert left.read_bytes() == b"one "


@pytest.mark.parametrize("force", [False, True])
def test_a_signal_that_came_while_names_were_given_finds_nothing_to_keep(force, left, monkeypatch):
    usual = Temporary.replace if force else Temporary.link

    def interrupted(temporary, path):
        signal.raise_signal(signal.SIGINT)
        usual(temporary, path)

    monkeypatch.setattr(Temporary, "replace" if force else "link", interrupted)
    with pytest.raises(KeyboardInterrupt), resumable([left], a_run(), force=force):
        pass
    assert list(left.parent.iterdir()) == [left]


def test_restart_forgets_it(left):
    with resumable([left], a_run(restart=True), force=False) as run:
        assert run.states == []
        run.outputs[0].write(b"new")
    assert left.read_bytes() == b"new"


@pytest.mark.parametrize("size", [1, 1_000])
def test_a_long_check_is_announced(size, left, monkeypatch):
    monkeypatch.setattr("quantize_cli.outputs.recovery._LONG", size)
    told = []
    with resumable([left], a_run(tell=told.append), force=False):
        pass
    assert (told[0] == f"Checking 4 bytes that an earlier run has left of {left}.") == (size == 1)
    assert len(told) == 1 + (size == 1)


def test_without_locks_nothing_is_noted(tmp_path, monkeypatch):
    """Two runs could write to one hidden file."""

    def refuse(*_arguments):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with resumable([tmp_path / "a.gguf"], a_run(), force=False) as run:
        run.outputs[0].write(b"data")
        run.record("state")
        assert not list(tmp_path.glob("*.journal"))
    assert (tmp_path / "a.gguf").read_bytes() == b"data"
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]
