"""What takes the bytes of the output, and knows their number and hash at the end."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from quantize_cli.errors import OutputError, UsageError
from quantize_cli.interrupts import deferred
from quantize_cli.outputs.hashing import Digest, new_digest
from quantize_cli.outputs.lanes import Lanes, beside
from quantize_cli.outputs.names import Complete, give_names
from quantize_cli.outputs.refusals import refusal, writing
from quantize_cli.outputs.temporary import Temporary
from quantize_cli.outputs.write_back import WriteBack


class Sink(Protocol):
    """A destination that takes the output's bytes in order."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append `data`, which must not change afterwards."""
        ...

    def mark(self) -> None:
        """Keep the SHA-256 of all that was written up to here."""
        ...

    def marks(self) -> Sequence[bytes]:
        """Return what `mark` has kept, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """A complete output."""

    path: Path | None  #: None for a stream that was given open
    nbytes: int
    sha256: str  #: in hex digits


class Output:
    """A sink that counts and hashes what it writes to a file or stream.

    Args:
        file: What takes the bytes.
        path: Its path; None for a stream that was given open.
        option: The option that chose it, for messages.
        lanes: The threads that hash and write.
    """

    def __init__(self, file: BinaryIO, path: Path | None, option: str, lanes: Lanes) -> None:
        self._file = file
        self._path = path
        self._option = option
        self._lanes = lanes
        self._write_back = WriteBack(file, lanes.write_back) if lanes.write_back is not None else None
        self._digest = new_digest()
        self._marks: list[bytes] = []
        self._nbytes = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Append `data`, which must not change afterwards; a file gets it now or later.

        Raises:
            OutputError: The system refuses it, or what was appended earlier.
        """
        if not len(data):
            return
        self._nbytes += len(data)
        self._lanes.hash.do(partial(self._digest.update, data))
        put = partial(self._put, data, self._nbytes)
        if self._lanes.write is None:
            put()
        else:
            self._lanes.write.do(put)

    def go_on(self, nbytes: int, digest: Digest, marks: Sequence[bytes]) -> None:
        """Count and hash on from bytes that are in the file already; `digest` and `marks` are of these."""
        self._nbytes, self._digest, self._marks = nbytes, digest, list(marks)

    def flush(self) -> None:
        """Give the system all that was written.

        Raises:
            OutputError: The system refuses it.
        """
        self._lanes.settle()
        try:
            self._file.flush()
        except OSError as error:
            raise self.refusal(error) from error

    def mark(self) -> None:
        """Keep the SHA-256 of all that was written up to here, for `marks`."""
        digest, marks = self._digest, self._marks
        self._lanes.hash.do(lambda: marks.append(digest.copy().digest()))

    def marks(self) -> Sequence[bytes]:
        """Return what `mark` has kept, in order; wait until it is known."""
        self._lanes.hash.settle()
        return self._marks

    def refusal(self, error: OSError) -> OutputError:
        """Make the sentence for an error of the system."""
        return refusal(self._path or "The output stream", error, self._option)

    @property
    def written(self) -> Written:
        """What was written; complete when the block that opened the output has ended."""
        return Written(self._path, self._nbytes, self._digest.hexdigest())

    def _put(self, data: bytes | memoryview, nbytes: int) -> None:
        """Write `data`, with which the file has `nbytes` bytes."""
        try:
            _write_all(self._file, data)
        except OSError as error:
            raise self.refusal(error) from error
        if self._write_back is not None:
            self._write_back.begin(nbytes)


def _write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write to a file that may be raw: such a file may take less than it is given, and tells so only in its result."""
    count = file.write(data)
    if isinstance(file, io.RawIOBase):
        left = memoryview(data)
        while len(left := left[count or 0 :]):
            count = file.write(left)


@contextmanager
def replacing(paths: Sequence[Path], *, force: bool, option: str = "-o") -> Iterator[list[Output]]:
    """Open files that all get their names when the block ends without an exception, and that vanish otherwise.

    Files that had the names before stay until then, and are put back if one of the new ones cannot get its name.

    Raises:
        OutputError: A file cannot be written, or was created by something else meanwhile and `force` is not set. The
            message advises another value for `option`.
    """
    files: list[Complete] = []
    try:
        for path in paths:
            target = real(path)
            with writing(path, option):
                files.append(Complete(Temporary(target.parent), path, target, option))
        with beside(len(files), files=True) as lanes:
            yield [Output(file.temporary.file, file.path, option, its) for file, its in zip(files, lanes, strict=True)]
            complete(files, lanes)
        give_names(files, force=force)
    finally:
        try:
            _discard(files)
        except BaseException:  # of a signal's handler; it may have come before it was deferred
            _discard(files)
            raise


def complete(files: Sequence[Complete], lanes: Sequence[Lanes]) -> None:
    """Bring all files to the disk.

    Raises:
        OutputError: The system refuses it.
    """
    for its in lanes:
        its.settle()
    for file in files:
        with writing(file.path, file.option):
            file.temporary.complete()


def _discard(files: Sequence[Complete]) -> None:
    with deferred():
        for file in files:
            file.temporary.discard()


@contextmanager
def streaming(stream: BinaryIO | Path, option: str = "-o") -> Iterator[Output]:
    """Write to a stream, which stays open, or to a device or pipe, which is opened; a pipe waits for its reader.

    Raises:
        OutputError: The system refuses it.
        UsageError: The device is a terminal.
    """
    with ExitStack() as stack:
        path = stream if isinstance(stream, Path) else None
        (lanes,) = stack.enter_context(beside(1, files=False))
        file = stream if not isinstance(stream, Path) else stack.enter_context(_device(stream, option))
        output = Output(file, path, option, lanes)
        yield output
        output.flush()


def takes_a_stream(path: Path) -> bool:
    """Tell whether `path` is a device, such as /dev/null, or a pipe, and not a place for a file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


@contextmanager
def _device(path: Path, option: str) -> Iterator[BinaryIO]:
    with writing(path, option):
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_NOCTTY), "wb", buffering=0)
    with file:
        if file.isatty():
            raise UsageError(f"{path} is a terminal, which cannot show a GGUF file; name a file with {option}.")
        yield file


def real(path: Path) -> Path:
    """Follow symbolic links, so that the file there is replaced and not the link."""
    return Path(os.path.realpath(path))
