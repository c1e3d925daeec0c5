"""The names of complete files: all get theirs, or none does and every older file is where it was."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from quantize_cli.errors import OutputError
from quantize_cli.interrupts import deferred
from quantize_cli.outputs.refusals import writing
from quantize_cli.outputs.temporary import OLD, Temporary, hidden_name


@dataclass(frozen=True, slots=True)
class Complete:
    """A complete file and the name that it is to get."""

    temporary: Temporary
    path: Path  #: as the user gave it
    target: Path  #: without symbolic links
    option: str  #: the option that chose it


def give_names(files: Sequence[Complete], *, force: bool) -> None:
    """Give all files their names. No signal stops it half way, and a failure puts every older file back.

    Raises:
        OutputError: A name is taken and `force` is not set, or cannot be given.
    """
    older: list[Path] = []
    with deferred(), ExitStack() as undo:
        for file in files:
            with writing(file.path, file.option):
                if force:
                    # The last name is given in one step: when it stands, nothing has to be put back any more.
                    _replace(file, undo, older, keep=file is not files[-1])
                else:
                    _take(file, undo)
        undo.pop_all()
        for folder in dict.fromkeys(file.target.parent for file in files):
            _sync(folder)
        for path in older:
            with suppress(OSError):
                path.unlink()


def _take(file: Complete, undo: ExitStack) -> None:
    """Give a name that is free."""
    try:
        file.temporary.link(file.target)
    except FileExistsError:
        raise OutputError(
            f"{file.path} was created by something else during the run; overwrite it with --force."
        ) from None
    undo.callback(_remove, file)


def _replace(file: Complete, undo: ExitStack, older: list[Path], *, keep: bool) -> None:
    """Give a name that may be taken; keep the file that has it under a hidden name, for `undo`."""
    if not _is_taken(file.target):
        undo.callback(_remove, file)
    elif keep:
        old = hidden_name(file.target.parent, OLD)
        try:
            os.link(file.target, old)
        except OSError:  # no hard links here, or not to a file of another user
            file.target.rename(old)
        older.append(old)
        undo.callback(_put_back, old, file.path, file.target)
    file.temporary.replace(file.target)


def _is_taken(target: Path) -> bool:
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        raise OSError(errno.EEXIST, "something that is not a regular file has its name now")
    return True


def _remove(file: Complete) -> None:
    """Remove a new file, because a part of a model is useless without the others."""
    if file.temporary.is_at(file.target):
        with suppress(OSError):
            file.target.unlink()


def _put_back(old: Path, path: Path, target: Path) -> None:
    try:
        old.replace(target)
        old.unlink(missing_ok=True)  # a rename does nothing between two names of one file
    except OSError as error:
        raise OutputError(
            f"{path} could not be put back after another file failed ({error.strerror}); what it held is in {old}."
        ) from error


def _sync(folder: Path) -> None:
    """Make the names themselves durable if the platform and the folder's permissions allow it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
