"""The output file appears whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections import namedtuple
from io import BytesIO
from pathlib import Path

import pytest
from checkpoint_factory import PRE_TOKENIZER

from quantize_cli import quantize
from quantize_cli.errors import OutputError, UsageError
from quantize_cli.outputs.checks import check_output, check_room
from quantize_cli.outputs.sinks import replacing

OPTIONS = {"pre_tokenizer": PRE_TOKENIZER, "threads": 1}
permissions_bind = pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")


@pytest.fixture
def target(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "model.gguf"


def left_in(target):
    return sorted(path.name for path in target.parent.iterdir())


def write(target, *parts, force=False):
    with replacing([target], force=force) as (sink,):
        for part in parts:
            sink.write(part)


# All or nothing.


def test_the_file_has_its_name_only_when_it_is_complete(target):
    with replacing([target], force=False) as (sink,):
        sink.write(b"first")
        assert not target.exists()
        sink.write(memoryview(b"second"))
    assert left_in(target) == ["model.gguf"]
    assert target.read_bytes() == b"firstsecond"


@pytest.mark.parametrize(
    "failure", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, OutputError, MemoryError]
)
@pytest.mark.parametrize("existing", [None, b"before"])
def test_whatever_stops_the_run_leaves_the_folder_as_it_was(failure, existing, target):
    if existing is not None:
        target.write_bytes(existing)

    def stopped_run():
        with replacing([target], force=True) as (sink,):
            sink.write(b"x" * 100_000)
            raise failure

    before = left_in(target)
    with pytest.raises(failure):
        stopped_run()
    assert left_in(target) == before
    assert existing is None or target.read_bytes() == existing


def test_force_replaces_the_file(target):
    target.write_bytes(b"old")
    write(target, b"new", force=True)
    assert target.read_bytes() == b"new"
    assert left_in(target) == ["model.gguf"]


def test_a_file_that_appears_during_the_run_is_not_overwritten(target):
    def run():
        with replacing([target], force=False) as (sink,):
            sink.write(b"ours")
            target.write_bytes(b"theirs")

    with pytest.raises(OutputError, match="was created by something else"):
        run()
    assert target.read_bytes() == b"theirs"
    assert left_in(target) == ["model.gguf"]


def test_a_folder_that_appears_during_the_run_is_not_replaced(target):
    def run():
        with replacing([target], force=True) as (sink,):
            sink.write(b"ours")
            target.mkdir()

    with pytest.raises(OutputError, match="cannot be written"):
        run()
    assert left_in(target) == ["model.gguf"]


def test_a_folder_that_vanishes_during_the_run_is_an_error(target):
    def run():
        with replacing([target], force=False) as (sink,):
            sink.write(b"ours")
            shutil.rmtree(target.parent)

    with pytest.raises(OutputError, match="cannot be written"):
        run()


def test_the_file_and_then_its_folder_are_synced(target, monkeypatch):
    synced = []
    fsync = os.fsync

    def recorded(descriptor):
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    write(target, b"data")
    assert synced == [False, True]


def test_a_folder_that_cannot_be_synced_does_not_fail_a_finished_run(target, monkeypatch):
    """Some network file systems refuse it, and so does a folder that may be written but not read."""
    fsync = os.fsync

    def no_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", no_folders)
    write(target, b"data")
    assert target.read_bytes() == b"data"


def test_the_files_permissions_are_the_users_usual_ones(target):
    usual = target.with_name("usual")
    usual.touch()
    write(target, b"data")
    assert target.stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize("existing", [True, False])
def test_a_symbolic_link_stays_and_its_target_is_written(existing, target, tmp_path):
    """`-o /dev/stdout` as root must not replace a link of the system's."""
    real = tmp_path / "elsewhere.gguf"
    if existing:
        real.write_bytes(b"old")
    target.symlink_to(real)
    check_output(target, force=True)
    write(target, b"new", force=True)
    assert target.is_symlink()
    assert real.read_bytes() == b"new"
    assert left_in(target) == ["model.gguf"]


# Several files: all or none.


@pytest.fixture
def parts(target):
    return [target.with_name(f"model-{number}.gguf") for number in (1, 2, 3)]


def write_all(paths, force=False, at_end=lambda: None):
    with replacing(paths, force=force) as sinks:
        for path, sink in zip(paths, sinks, strict=True):
            sink.write(path.name.encode())
        at_end()


def test_all_files_get_their_names_at_the_end(target, parts):
    write_all(parts, at_end=lambda: [pytest.fail("too early") for path in parts if path.exists()])
    assert left_in(target) == [path.name for path in parts]
    assert [path.read_text() for path in parts] == [path.name for path in parts]


def test_a_failure_leaves_none_of_them(target, parts):
    def fail():
        raise MemoryError

    with pytest.raises(MemoryError):
        write_all(parts, at_end=fail)
    assert left_in(target) == []


@pytest.mark.parametrize("number", [0, 2])
def test_one_that_appears_during_the_run_keeps_all_from_their_places(number, target, parts):
    with pytest.raises(OutputError, match=r"was created by something else"):
        write_all(parts, at_end=lambda: parts[number].write_text("theirs"))
    assert left_in(target) == [parts[number].name]
    assert parts[number].read_text() == "theirs"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_more_files_than_the_system_allows_are_a_sentence(target):
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, usual[1]))
    try:
        with pytest.raises(OutputError, match=r"Too many open files\); write fewer files at a time"):
            write_all([target.with_name(f"{number}.gguf") for number in range(100)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert left_in(target) == []


def test_a_place_that_cannot_be_taken_leaves_none_of_them(target, parts):
    with pytest.raises(OutputError, match=r"model-3\.gguf cannot be written"):
        write_all(parts, force=True, at_end=parts[2].mkdir)
    assert left_in(target) == ["model-3.gguf"]
    assert parts[2].is_dir()


# A full disk.


@pytest.fixture
def nearly_full(monkeypatch):
    """Every disk has 1,000 bytes free."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(10_000, 9_000, 1_000))


def test_no_room_is_found_before_the_run(target, nearly_full):
    check_room({target: 1_000})
    with pytest.raises(OutputError, match=r"model\.gguf will take 1,001 bytes, but the disk has 1,000 free"):
        check_room({target: 1_001})


def test_a_disk_has_room_for_all_its_files_or_the_total_is_named(parts, nearly_full):
    check_room(dict(zip(parts, (300, 300, 400), strict=True)))
    with pytest.raises(OutputError) as raised:
        check_room(dict(zip(parts, (300, 300, 401), strict=True)))
    assert f"{parts[0]} and 2 more files on the same disk will take 1,001 bytes, but" in str(raised.value)


def test_each_disk_is_checked_by_itself(parts, nearly_full, monkeypatch):
    others = parts[2].parent / "mounted" / parts[2].name
    others.parent.mkdir()
    usual = Path.stat

    def stat(path, **options):
        found = usual(path, **options)
        return os.stat_result((*found[:2], 99, *found[3:])) if path == others.parent else found

    monkeypatch.setattr(Path, "stat", stat)
    sizes = dict(zip((*parts[:2], others), (500, 500, 1_000), strict=True))
    check_room(sizes)
    with pytest.raises(OutputError, match=r"mounted/model-3\.gguf will take 1,001 bytes"):
        check_room({**sizes, others: 1_001})


def test_no_room_is_found_before_the_first_weight_is_read(llama, target, nearly_full, monkeypatch):
    monkeypatch.setattr("quantize_cli.run.executor.run", lambda *_args, **_options: pytest.fail("the run was started"))
    with pytest.raises(OutputError, match="free some space"):
        quantize(llama, "q8_0", target, **OPTIONS)
    assert left_in(target) == []


LIMITED = """
import resource, signal, sys
from pathlib import Path
from quantize_cli.errors import OutputError, UsageError
from quantize_cli.outputs.sinks import replacing

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for size in map(int, sys.argv[2:]):
    try:
        with replacing([Path(sys.argv[1])], force=True) as (sink,):
            sink.write(b"x" * 50_000)
            sink.write(b"y" * size)
    except OutputError as error:
        print(error)
    else:
        print("written", Path(sys.argv[1]).stat().st_size)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_real_limit_on_the_files_size(target):
    """The kernel writes what still fits and says so only in write's result: the last write must not end there."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(target), "50001", "90000", "50000"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines[:2] if "File too large" in line] == lines[:2]
    assert lines[2] == "written 100000"
    assert left_in(target) == ["model.gguf"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_stream_is_an_error_that_says_so(llama):
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(OutputError, match=r"stream.*free some space"),
    ):
        quantize(llama, "f16", full, **OPTIONS)


def test_a_stream_is_flushed_and_left_open(llama):
    class Stream(BytesIO):
        flushed_at = 0

        def flush(self):
            self.flushed_at = self.tell()

    stream = Stream()
    report = quantize(llama, "f16", stream, **OPTIONS)
    assert stream.flushed_at == len(stream.getvalue()) == report.totals.file_bytes
    assert report.output == "-"


# Places where nothing can be written.


def test_existing_files_need_force(target):
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"exists.*--force"):
        check_output(target, force=False)
    check_output(target, force=True)


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_no_output(force, tmp_path):
    with pytest.raises(OutputError, match="not a regular file"):
        check_output(tmp_path, force=force)


@pytest.mark.parametrize("force", [False, True])
def test_a_device_and_a_pipe_are_no_output(force, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path(os.devnull), tmp_path / "pipe"):
        with pytest.raises(OutputError, match="not a regular file"):
            check_output(path, force=force)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"folder .*missing does not exist"):
        check_output(tmp_path / "missing" / "model.gguf", force=False)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        check_output(tmp_path / "file" / "model.gguf", force=False)


def test_the_longest_name_works_and_a_longer_one_is_a_sentence(target):
    longest = target.with_name("x" * 255)
    write(longest, b"data")
    assert longest.read_bytes() == b"data"
    with pytest.raises(OutputError, match="too long"):
        check_output(target.with_name("x" * 256), force=False)


@permissions_bind
@pytest.mark.parametrize("mode", [0o500, 0o400, 0o000])
def test_a_folder_that_is_not_writable_is_named(mode, target):
    target.parent.chmod(mode)
    try:
        with pytest.raises(OutputError, match=r"not writable|cannot be written"):
            check_output(target, force=False)
    finally:
        target.parent.chmod(0o700)


def test_a_folder_that_denies_writing_is_named(target, monkeypatch):
    """The same for root, whom permissions do not bind."""
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(OutputError, match="not writable"):
        check_output(target, force=False)


def test_a_failed_forced_run_leaves_the_old_file(own_llama, target):
    target.write_bytes(b"the model of yesterday")
    weights = own_llama / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + b"\x80\x7f")  # an infinite bfloat16
    with pytest.raises(Exception, match="inf"):
        quantize(own_llama, "f16", target, force=True, **OPTIONS)
    assert target.read_bytes() == b"the model of yesterday"
    assert left_in(target) == ["model.gguf"]


def test_a_source_file_is_never_the_output(own_llama):
    source = own_llama / "model.safetensors"
    before = source.read_bytes()
    with pytest.raises(UsageError, match="one of the files that the run reads"):
        quantize(own_llama, "f16", source, force=True, **OPTIONS)
    assert source.read_bytes() == before


def test_an_existing_output_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "there.gguf").write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"there\.gguf exists"):
        quantize("no/such-model", "f16", str(tmp_path / "there.gguf"))
