"""Destinations of the output: files that appear only when all are complete, or a stream."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from quantize_cli.errors import OutputError

#: Advice on errors of the system; on all others it is to write elsewhere.
_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EPIPE: "let its reader take all of it",
    errno.EMFILE: "write fewer files at a time, or allow more with ulimit -n",
}


class Sink(Protocol):
    """A destination that takes the output's bytes in order."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append `data`."""
        ...


def check_output(path: Path, *, force: bool, option: str = "-o") -> None:
    """Check, before a long run, that `path` can be written after it; `option` is the one that chose `path`.

    Raises:
        OutputError: `path` exists and `force` is not set, or is not a regular file; or its folder is missing or not
            writable.
    """
    with writing(path, option):
        folder = _real(path).parent
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is not a regular file; choose another path with {option}.")
        if path.exists() and not force:
            raise OutputError(f"{path} exists; choose another path with {option}, or overwrite it with --force.")
        if not folder.is_dir():
            raise OutputError(f"The folder {folder} does not exist; create it, or choose another with {option}.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {folder} is not writable; choose another with {option}.")


def check_room(sizes: Mapping[Path, int]) -> None:
    """Check that each disk has room for all the files that will be written to it; `sizes` are in bytes.

    Raises:
        OutputError: A disk does not have enough room.
    """
    disks: dict[int, list[Path]] = defaultdict(list)
    for path in sizes:
        with writing(path):
            disks[_real(path).parent.stat().st_dev].append(path)
    for paths in disks.values():
        size = sum(sizes[path] for path in paths)
        free = shutil.disk_usage(_real(paths[0]).parent).free
        if size > free:
            others = f" and {len(paths) - 1} more files on the same disk" if len(paths) > 1 else ""
            raise OutputError(
                f"{paths[0]}{others} will take {size:,} bytes, but the disk has {free:,} free; "
                "free some space, or choose another disk."
            )


@contextmanager
def replacing(paths: Sequence[Path], *, force: bool, option: str = "-o") -> Iterator[list[Sink]]:
    """Open files that all get their names when the block ends without an exception, and that vanish otherwise.

    Raises:
        OutputError: A file cannot be written, or was created by something else meanwhile and `force` is not set. The
            message advises another value for `option`.
    """
    written = [_Replacement(path, option) for path in paths]
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(replacement.opened()) for replacement in written]
        for replacement in written:
            replacement.check(force=force)
        for replacement in written:
            replacement.take_place()
    except BaseException:
        for replacement in written:
            replacement.undo()
        raise
    for folder in dict.fromkeys(replacement.folder for replacement in written):
        _sync_folder(folder)


class _Replacement:
    """A file with a temporary name beside its target, until it replaces the target."""

    def __init__(self, path: Path, option: str) -> None:
        self._path = path
        self._option = option
        self._target = _real(path)
        self.folder = self._target.parent
        self._file = self._target.with_name(f".quantize-{secrets.token_hex(8)}.tmp")  # never longer than a name may be

    @contextmanager
    def opened(self) -> Iterator[Sink]:
        """Open it, and sync it at the end."""
        # Buffered, because an unbuffered file may write less than it is given, and tells so only in its result.
        with writing(self._path, self._option), self._file.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def check(self, *, force: bool) -> None:
        """Check that the target is still free."""
        if self._target.exists() and not force:
            raise OutputError(f"{self._path} was created by something else during the run; overwrite it with --force.")

    def take_place(self) -> None:
        """Give the file its name."""
        with writing(self._path, self._option):
            self._file = self._file.replace(self._target)

    def undo(self) -> None:
        """Remove the file, under either name, because a part of a model is useless without the others."""
        with suppress(FileNotFoundError, NotADirectoryError):
            self._file.unlink()


@contextmanager
def writing(output: Path | str, option: str = "-o") -> Iterator[None]:
    """Turn the system's refusals to write `output`, which `option` chose, into sentences."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, f"choose another path with {option}")
        raise OutputError(f"{output} cannot be written ({error.strerror or error}); {advice}.") from error


def _real(path: Path) -> Path:
    """Follow symbolic links, so that the file there is replaced and not the link."""
    return Path(os.path.realpath(path))


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable if the platform and the folder's permissions allow it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
