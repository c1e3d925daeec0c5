"""Files that do not have their names yet.

Where the system has files without a name (O_TMPFILE), they vanish with the process, however it ends. Elsewhere they
have a hidden name beside their target, and hold a lock as long as the process lives: so another run can tell them from
what a killed run has left behind. A file that a later run may go on with always has a hidden name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from quantize_cli.outputs.journal import is_own
from quantize_cli.outputs.unfinished import unfinished

#: What a file system answers that does not know fsync.
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}

PREFIX = ".quantize-"
SUFFIX = ".tmp"
#: Suffix of the journal of a run that can go on later.
JOURNAL = ".journal"
#: Suffix of the hidden name that keeps an older file until all new ones are in place.
OLD = ".old"


def hidden_name(folder: Path, suffix: str = SUFFIX) -> Path:
    """Make up a name that no other file has, and that is never longer than a name may be."""
    return folder / f"{PREFIX}{secrets.token_hex(8)}{suffix}"


class Temporary:
    """A file in `folder` that is open for writing, and can be given a name there.

    Args:
        folder: The folder.
        name: The hidden name that the file must have, because a later run will look for it. The content of a file that
            has the name already stays, until `cut` is called.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, folder: Path, name: Path | None = None) -> None:
        self._folder = folder
        self._name = name
        descriptor = _without_name(folder) if name is None else _with_name(name)
        if descriptor is None:
            self._name = hidden_name(folder)
            unfinished.add(str(self._name))
            descriptor = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if self._name is not None:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Buffered, because an unbuffered file may write less than it is given, and tells so only in its result.
        self.file: BinaryIO = os.fdopen(descriptor, "wb")
        self._stat = os.fstat(descriptor)

    def cut(self, nbytes: int) -> None:
        """Keep the first `nbytes` bytes, and write behind them.

        Raises:
            OSError: The system refuses it.
        """
        self.file.truncate(nbytes)
        self.file.seek(nbytes)

    def complete(self) -> None:
        """Bring all that was written to the disk.

        Raises:
            OSError: The disk is full, for example.
        """
        self.file.flush()
        try:
            os.fsync(self.file.fileno())
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
        if self._name is not None:  # a network file system may refuse only when the file is closed
            self.file.close()

    def is_at(self, path: Path) -> bool:
        """Tell whether `path` is this file."""
        with suppress(OSError):
            return os.path.samestat(self._stat, path.lstat())
        return False

    def link(self, path: Path) -> None:
        """Give the file the name `path`, which must be free.

        Raises:
            FileExistsError: Something has the name.
            OSError: The name cannot be given.
        """
        try:
            self._link(path)
        except FileExistsError:
            if not self.is_at(path):  # NFS may refuse a link that it has made, if the first answer was lost
                raise
        except OSError:
            if self._name is None:
                raise
            # The file system has no hard links. Whoever writes into the empty file before the next step loses that.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            try:
                self.replace(path)
            except OSError:
                path.unlink()
                raise

    def replace(self, path: Path) -> None:
        """Give the file the name `path` in one step, and remove the file that had it.

        Raises:
            OSError: The name cannot be given.
        """
        if self._name is None:
            name = hidden_name(self._folder)
            unfinished.add(str(name))
            self._link(name)
            self._name = name
        self._name.replace(path)

    def keep(self) -> None:
        """Close the file, and let it have its hidden name."""
        with suppress(OSError):
            self.file.close()

    def discard(self) -> None:
        """Close the file and remove its hidden name, if it has one."""
        self.keep()
        if self._name is not None:
            with suppress(OSError):
                self._name.unlink()
            unfinished.discard(str(self._name))

    def _link(self, path: Path) -> None:
        if self._name is None:
            _name(self.file.fileno(), path)
        else:
            os.link(self._name, path)


def _without_name(folder: Path) -> int | None:
    """Open a new file without a name for writing; None if the system does not have such files, or cannot name them."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    flags, trial = os.O_TMPFILE | os.O_WRONLY, hidden_name(folder)
    try:
        descriptor = os.open(folder, flags, 0o666)
        unfinished.add(str(trial))
        try:  # hours later, it would be too late to learn that it can have no name
            _name(descriptor, trial)
        finally:
            trial.unlink(missing_ok=True)
            os.close(descriptor)
            unfinished.discard(str(trial))
        return os.open(folder, flags, 0o666)
    except OSError:
        return None


def _with_name(name: Path) -> int:
    """Open the file with this name, or a new one if there is none or it is not ours."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(name, flags, 0o666)
    if is_own(os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    name.unlink()
    return os.open(name, flags | os.O_EXCL, 0o666)


def _name(descriptor: int, path: Path) -> None:
    """Link an open file (open(2), O_TMPFILE): linkat follows the link that /proc has for it.

    Python calls linkat, and not link, if it is given a folder's descriptor; for an absolute path the system ignores it.
    """
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
