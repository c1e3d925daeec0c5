"""Where the bytes of the output go: a file that appears only when it is complete, or a stream."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from quantize_cli.errors import OutputError


class Sink(Protocol):
    """Takes the output's bytes in order."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append `data`."""
        ...


def check_output(path: Path, size: int, *, force: bool) -> None:
    """Find out before the long run what would make it fail at its end.

    Raises:
        OutputError: `path` exists and `force` is not set, or is no regular file; its folder is missing or not
            writable; or the disk has less than `size` bytes free.
    """
    folder = path.parent
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file; choose another output, or -o - for standard output.")
    if path.exists() and not force:
        raise OutputError(f"{path} exists; choose another output with -o, or overwrite it with --force.")
    if not folder.is_dir():
        raise OutputError(f"The output folder {folder} does not exist; create it, or choose another with -o.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The output folder {folder} is not writable; choose another with -o.")
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OutputError(
            f"{path} will take {size:,} bytes, but its disk has {free:,} free; "
            "free some space, or choose another disk with -o."
        )


@contextmanager
def replacing(path: Path, *, force: bool) -> Iterator[Sink]:
    """A file that gets the name `path` once the block ends without an exception, and vanishes otherwise.

    Raises:
        OutputError: the file cannot be written, or `path` has come to exist meanwhile and `force` is not set.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with _writing(path), open(temporary, "xb", buffering=0) as file:  # noqa: PTH123
            yield file
            os.fsync(file.fileno())
        with _writing(path):
            if path.exists() and not force:
                raise OutputError(f"{path} has come to exist during the run; overwrite it with --force.")
            os.replace(temporary, path)  # noqa: PTH105
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free some space" if error.errno == errno.ENOSPC else "choose another output with -o"
        raise OutputError(f"{path} cannot be written ({error.strerror}); {hint}.") from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the platform lets a folder be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
