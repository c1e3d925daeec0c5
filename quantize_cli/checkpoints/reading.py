"""Helpers of all readers of files on a disk: sentences for refusals, and stamps that reveal a change."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

from quantize_cli.errors import CheckpointError

#: A file's size in bytes and the time of its last change in nanoseconds; writing to the file changes them.
Stamp: TypeAlias = tuple[int, int]

#: A pipe is opened without waiting for a writer, so that it can be refused.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
#: How the system refuses to open a socket, or a device that nothing serves.
_NOTHING_TO_READ = (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)

_BUFFER_BYTES = 1 << 20


class OpenFile(NamedTuple):
    """An open regular file."""

    descriptor: int
    stamp: Stamp  #: taken before anything is read

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.stamp[0]

    def stream(self) -> BinaryIO:
        """Return a buffered stream from the file's start, which does not close the file."""
        return open(self.descriptor, "rb", _BUFFER_BYTES, closefd=False)

    def read(self, start: int, stop: int) -> bytes:
        """Read the bytes `start:stop`, or fewer if the file ends before."""
        parts = []
        while start < stop and (part := os.pread(self.descriptor, stop - start, start)):
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def opened(path: Path) -> Iterator[OpenFile]:
    """Open a regular file, also by a link; what is checked is what is open, so nobody can exchange it in between.

    Raises:
        CheckpointError: The path leads to a pipe, device, socket or folder, or the system refuses it.
    """
    with reading(path):
        descriptor = os.open(path, _FLAGS)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                raise IsADirectoryError(0, "Is a directory")
            if not stat.S_ISREG(found.st_mode):
                raise irregular(path)
            yield OpenFile(descriptor, (found.st_size, found.st_mtime_ns))
        finally:
            os.close(descriptor)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the system's refusals about `path` into sentences."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; download it, or the whole model, again.") from error
    except OSError as error:
        if error.errno in _NOTHING_TO_READ:
            raise irregular(path) from error
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); check its permissions and its disk."
        ) from error


def irregular(path: Path) -> CheckpointError:
    """Return the refusal of a pipe, device or socket."""
    return CheckpointError(f"{path} is not a regular file; take the model from a source you trust.")


def leads_to(path: Path, files: Iterable[Path]) -> bool:
    """Tell whether `path` is one of `files` by any name, symbolic or hard link; both may be missing."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        real = os.path.realpath(path)
        return any(os.path.realpath(file) == real for file in files)
    for file in files:
        try:
            if os.path.samestat(file.stat(), found):
                return True
        except OSError:
            continue
    return False
