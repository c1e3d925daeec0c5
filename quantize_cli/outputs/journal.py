"""The journal of a run: what is on the disk for sure, so that a run that was killed can go on from there.

It is a text file. A line holds the checksum of its text, a space, and the text, which is JSON. The first line tells
which run it is; each further one is a record, and only ever claims bytes that were written before it. A process that is
killed at any moment leaves at most one incomplete line, which is ignored. After a loss of power, a record may claim
bytes that the disk never got; their checksums tell.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

#: A value of a JSON file.
Json: TypeAlias = Any

#: The most bytes of a line: a run of 10,000 tensors that ends them all within a second needs 1 MiB.
_MAX_LINE = 1 << 26
_CHECKSUM_BYTES = 8
_SHA256_BYTES = 32

#: What a file system answers that does not have locks.
_NO_LOCKS = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}


class Grown(NamedTuple):
    """How far a file had got."""

    nbytes: int
    sha256: str  #: of these bytes, in hex digits
    marks: str  #: what `Output.mark` has kept since the record before, in hex digits


@dataclass(frozen=True, slots=True)
class Record:
    """What had been written at one moment."""

    files: Mapping[int, Grown]  #: the files that grew since the record before, by their numbers
    state: Json  #: what the run needs to go on


@dataclass(frozen=True, slots=True)
class Held:
    """What a journal holds."""

    header: Mapping[str, Json] | None  #: None if the journal is empty, or its first line is damaged
    records: list[Record]  #: up to the first damaged line
    damaged: bool  #: whether there is a damaged line; the last one may be incomplete


class NoLocksError(OSError):
    """A file system that does not have locks."""


class Journal:
    """A journal that is open, and locked as long as the process lives.

    Args:
        path: Its path; it is made if it is missing.

    Raises:
        BlockingIOError: Another run holds its lock.
        NoLocksError: The file system does not have locks, without which two runs would write to the same files.
        OSError: The system refuses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _locked(path)
        self._ends: list[int] = []  # of the first line and of each record, in bytes from the start
        self.held = self._read()

    def begin(self, header: Mapping[str, Json]) -> None:
        """Forget everything, and write the first line."""
        self._cut(0)
        self._ends = []
        self._append(header)

    def keep(self, records: int) -> None:
        """Forget all but the first `records` records; those to come are appended to these."""
        self._cut(self._ends[records])
        del self._ends[records + 1 :]

    def add(self, record: Record) -> None:
        """Append a record."""
        self._append({"files": record.files, "state": record.state})

    def remove(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            self.path.unlink()

    def close(self) -> None:
        """Give the lock back."""
        with suppress(OSError):
            os.close(self._descriptor)

    def _cut(self, end: int) -> None:
        os.ftruncate(self._descriptor, end)
        os.lseek(self._descriptor, end, os.SEEK_SET)

    def _append(self, content: Mapping[str, Json]) -> None:
        left = memoryview(_line(content))
        while left:
            left = left[os.write(self._descriptor, left) :]
        self._ends.append(os.lseek(self._descriptor, 0, os.SEEK_CUR))

    def _read(self) -> Held:
        header: Mapping[str, Json] | None = None
        records: list[Record] = []
        with os.fdopen(self._descriptor, "rb", closefd=False) as file:
            while (content := _content(line := file.readline(_MAX_LINE))) is not None:
                if header is None:
                    header = content
                elif (record := _record(content)) is not None:
                    records.append(record)
                else:
                    break
                self._ends.append(file.tell())
        return Held(header, records, damaged=line.endswith(b"\n"))


def header_of(path: Path) -> Mapping[str, Json] | None:
    """Return the first line of a journal, whoever holds its lock; None if it is damaged or not a journal.

    Raises:
        OSError: The file cannot be read.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
        return _content(file.readline(_MAX_LINE))


def is_locked(path: Path) -> bool:
    """Tell whether a living run holds the lock of a file.

    Raises:
        OSError: The file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_own(found: os.stat_result) -> bool:
    """Tell whether this is a regular file of this user, with one name: nobody else can have laid it in our way."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor)
            found = os.fstat(descriptor)
            with suppress(FileNotFoundError):  # if the run that held the lock has removed the file
                if os.path.samestat(found, path.lstat()):
                    if is_own(found):
                        return descriptor
                    path.unlink()
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoLocksError from error
        raise


def _line(content: Mapping[str, Json]) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"%s %s\n" % (_checksum(text), text)


def _content(line: bytes) -> dict[str, Json] | None:
    """Return the content of a line; None if the line is incomplete or damaged."""
    checksum, _, text = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != _checksum(text):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _record(content: Mapping[str, Json]) -> Record | None:
    try:
        files = {int(number): _grown(*claim) for number, claim in content["files"].items()}
        return Record(files, content["state"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _grown(nbytes: int, sha256: str, marks: str) -> Grown:
    """Check a claim; raise TypeError or ValueError if it is not one."""
    if len(bytes.fromhex(marks)) % _SHA256_BYTES:
        raise ValueError("a part of a SHA-256")
    return Grown(int(nbytes), str(sha256), marks)


def _checksum(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_CHECKSUM_BYTES).hexdigest().encode()
