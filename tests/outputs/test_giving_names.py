"""All files get their names, or none does and every older file is where it was."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from quantize_cli.errors import OutputError
from quantize_cli.outputs.sinks import replacing
from quantize_cli.outputs.temporary import Temporary

NAMES = ("a.gguf", "b.gguf", "c.gguf")
NEW = {name: f"new {name}" for name in NAMES}

pytestmark = pytest.mark.usefixtures("kind")


def held_in(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def write(folder, *, force, at_end=lambda: None):
    with replacing([folder / name for name in NAMES], force=force) as sinks:
        for name, sink in zip(NAMES, sinks, strict=True):
            sink.write(NEW[name].encode())
        at_end()


def failing_at(number, do):
    """A method of `Temporary` that does something else the `number`th time."""
    usual = {"link": Temporary.link, "replace": Temporary.replace}
    calls = iter(range(100))

    def of(name):
        def method(self, path):
            if next(calls) == number:
                do()
            usual[name](self, path)

        return method

    return of


def refuse():
    raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def no_hard_links(monkeypatch):
    def link(*_args, **_options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


@pytest.mark.parametrize("existing", [(), ("a.gguf",), ("b.gguf",), ("a.gguf", "c.gguf"), NAMES])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_name_that_cannot_be_given_puts_every_older_file_back(number, existing, tmp_path, monkeypatch):
    older = {name: f"old {name}" for name in existing}
    for name, text in older.items():
        (tmp_path / name).write_text(text)
    inodes = {name: (tmp_path / name).stat().st_ino for name in existing}
    monkeypatch.setattr(Temporary, "replace", failing_at(number, refuse)("replace"))
    with pytest.raises(OutputError, match=rf"{NAMES[number]} cannot be written \(Input/output error\)"):
        write(tmp_path, force=True)
    assert held_in(tmp_path) == older
    assert {name: (tmp_path / name).stat().st_ino for name in existing} == inodes


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_same_without_hard_links(number, tmp_path, monkeypatch, no_hard_links):
    older = {name: f"old {name}" for name in NAMES}
    for name, text in older.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(Temporary, "replace", failing_at(number, refuse)("replace"))
    with pytest.raises(OutputError, match="Input/output error"):
        write(tmp_path, force=True)
    assert held_in(tmp_path) == older
    monkeypatch.undo()
    write(tmp_path, force=True)
    assert held_in(tmp_path) == NEW


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_file_that_appears_at_the_last_moment_is_not_overwritten(number, tmp_path, monkeypatch):
    theirs = tmp_path / NAMES[number]
    monkeypatch.setattr(Temporary, "link", failing_at(number, lambda: theirs.write_text("theirs"))("link"))
    with pytest.raises(OutputError, match=rf"{NAMES[number]} was created by something else"):
        write(tmp_path, force=False)
    assert held_in(tmp_path) == {NAMES[number]: "theirs"}


def test_nor_without_hard_links(tmp_path, no_hard_links):
    with pytest.raises(OutputError, match=r"b\.gguf was created by something else"):
        write(tmp_path, force=False, at_end=lambda: (tmp_path / "b.gguf").write_text("theirs"))
    assert held_in(tmp_path) == {"b.gguf": "theirs"}
    (tmp_path / "b.gguf").unlink()
    write(tmp_path, force=False)
    assert held_in(tmp_path) == NEW


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_signal_between_two_names_is_handled_after_the_last(number, force, tmp_path, monkeypatch):
    for name in NAMES if force else ():
        (tmp_path / name).write_text("old")
    name = "replace" if force else "link"
    interrupting = failing_at(number, lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(Temporary, name, interrupting(name))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, force=force)
    assert held_in(tmp_path) == NEW


def test_an_older_file_that_cannot_be_put_back_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_text("precious")
    usual = Path.replace

    def replace(path, target):
        return refuse() if path.suffix == ".old" else usual(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(Temporary, "replace", failing_at(1, refuse)("replace"))
    with pytest.raises(OutputError, match=r"a\.gguf could not be put back.*what it held is in .*\.old\.$") as raised:
        write(tmp_path, force=True)
    kept = Path(str(raised.value).removesuffix(".").rpartition(" in ")[2])
    assert kept.read_text() == "precious"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_not_a_file_is_not_replaced(make, tmp_path):
    with pytest.raises(OutputError, match=r"b\.gguf cannot be written"):
        write(tmp_path, force=True, at_end=lambda: make(tmp_path / "b.gguf"))
    assert [path.name for path in tmp_path.iterdir()] == ["b.gguf"]
    assert not (tmp_path / "b.gguf").is_file()
