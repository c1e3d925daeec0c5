"""Where the bytes of the output go: a file that appears only when it is complete, or a stream."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from quantize_cli.errors import OutputError

#: What to do about an error of the system; about all others: write elsewhere.
_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EPIPE: "let its reader take all of it",
    errno.EMFILE: "write fewer files at a time, or allow more with ulimit -n",
}


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
    with writing(path):
        folder = _real(path).parent
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
def replacing(paths: Sequence[Path], *, force: bool) -> Iterator[list[Sink]]:
    """Files that get their names once the block ends without an exception, all of them, and vanish otherwise.

    Raises:
        OutputError: a file cannot be written, or has come to exist meanwhile and `force` is not set.
    """
    written = [_Replacement(path, _real(path)) for path in paths]
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
    """A file under a temporary name beside its target, until it takes the target's place."""

    def __init__(self, path: Path, target: Path) -> None:
        self._path = path
        self._target = target
        self.folder = target.parent
        self._file = target.with_name(f".quantize-{secrets.token_hex(8)}.tmp")  # never longer than a name may be

    @contextmanager
    def opened(self) -> Iterator[Sink]:
        """Open it, and sync it at the end."""
        # Buffered, because an unbuffered file may write less than it is given, and says so only in its result.
        with writing(self._path), self._file.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def check(self, *, force: bool) -> None:
        """Whether the target is still free."""
        if self._target.exists() and not force:
            raise OutputError(f"{self._path} has come to exist during the run; overwrite it with --force.")

    def take_place(self) -> None:
        """Give the file its name."""
        with writing(self._path):
            self._file = self._file.replace(self._target)

    def undo(self) -> None:
        """Remove it, whatever its name is by now: a part of a model is worth nothing without the others."""
        self._file.unlink(missing_ok=True)


@contextmanager
def writing(output: Path | str) -> Iterator[None]:
    """Turn the system's refusals to write `output` into sentences."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "choose another output with -o")
        raise OutputError(f"{output} cannot be written ({error.strerror or error}); {advice}.") from error


def _real(path: Path) -> Path:
    """What symbolic links lead to: the file there is replaced, not the link."""
    return Path(os.path.realpath(path))


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the platform and the folder's permissions let it be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
