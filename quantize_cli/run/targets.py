"""Where the files of a run go: their names, and one sink for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from quantize_cli.errors import UsageError
from quantize_cli.outputs import sinks
from quantize_cli.outputs.checks import check_folder, check_output
from quantize_cli.outputs.folders import made
from quantize_cli.outputs.recovery import Run
from quantize_cli.outputs.refusals import named, writing
from quantize_cli.outputs.resuming import resumable
from quantize_cli.planning.model import Plan
from quantize_cli.run.progress import Progress


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, in which files have their usual names; the run makes it if it is missing."""

    path: Path


@dataclass(frozen=True, slots=True)
class Stream:
    """An open stream, or the path of a device or pipe."""

    to: BinaryIO | Path


#: What the user wants: a folder, a path for a file or the parts of one, or a stream.
Place: TypeAlias = Folder | Path | Stream

#: The files of one plan, or the stream that takes the only one.
Target: TypeAlias = list[Path] | Stream


def place_of(output: str | Path | BinaryIO | None, formats: int, *, in_parts: bool) -> Place:
    """Tell what the user means by `output`: None is the current folder, and a separator at the end means a folder.

    Raises:
        UsageError: Several files are to go where only one can, or no file can have the name.
        OutputError: The system refuses to look there.
    """
    if output is None:
        return Folder(Path())
    if not isinstance(output, str | Path):
        return _only(Stream(output), formats, in_parts=in_parts)
    path = named(output)
    with writing(path):
        if path.is_dir() or os.fspath(output).endswith((os.sep, f"{os.sep}{os.curdir}")):
            return Folder(path)
        if sinks.takes_a_stream(path):
            return _only(Stream(path), formats, in_parts=in_parts)
        # A name that ends like a file's is not taken for a folder's.
        if formats > 1 and (path.exists() or path.suffix == ".gguf"):
            raise UsageError(f"{output} is not a folder, and the run writes {formats} files: name a folder with -o.")
    return Folder(path) if formats > 1 else path


def _only(stream: Stream, formats: int, *, in_parts: bool) -> Stream:
    if formats > 1 or in_parts:
        raise UsageError("One stream cannot hold several files: name a folder with -o.")
    return stream


def check_place(place: Place, *, in_parts: bool, force: bool) -> None:
    """Refuse what no model can make right, before it is looked at.

    Raises:
        OutputError: See `check_output` and `check_folder`.
    """
    if isinstance(place, Folder):
        check_folder(place.path)
    elif isinstance(place, Path) and not in_parts:
        check_output(place, force=force)


def check_files(files: Sequence[Path], place: Place, *, force: bool) -> None:
    """Refuse files that cannot be written; if their folder will be made, none of them exists.

    Raises:
        OutputError: See `check_output` and `check_folder`.
    """
    if isinstance(place, Folder) and not place.path.exists():
        check_folder(place.path)
        return
    for path in files:
        check_output(path, force=force)


def target_of(plan: Plan, place: Place) -> Target:
    """Name the files of one plan, or return the stream."""
    if isinstance(place, Stream):
        return place
    whole = place.path / f"{plan.model}-{plan.format}.gguf" if isinstance(place, Folder) else place
    return [
        whole.with_name(f"{whole.name.removesuffix('.gguf')}{file.suffix}.gguf") if file.suffix else whole
        for file in plan.files
    ]


def sizes(targets: Sequence[Target], plans: Sequence[Plan]) -> dict[Path, int]:
    """Return every file that will be written with its size in bytes; a stream has none."""
    return {
        path: file.file_bytes
        for target, plan in zip(targets, plans, strict=True)
        if isinstance(target, list)
        for path, file in zip(target, plan.files, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Opened:
    """What takes the bytes of a run, and what it notes of them."""

    sinks: list[list[sinks.Output]]  #: one for each file of each plan
    progress: Progress


@contextmanager
def opened(targets: Sequence[Target], place: Place, run: Run, *, force: bool) -> Iterator[Opened]:
    """Open a sink for each file of each target; all files get their names at the end, or none.

    Raises:
        OutputError: See `resumable`, `streaming` and `made`.
    """
    if isinstance(place, Stream):
        with sinks.streaming(place.to) as sink:
            yield Opened([[sink]], Progress(None))
        return
    files = [target for target in targets if isinstance(target, list)]
    folder = place.path if isinstance(place, Folder) else None
    with made(folder), resumable([path for target in files for path in target], run, force=force) as outputs:
        each = iter(outputs.outputs)
        yield Opened([[next(each) for _ in target] for target in files], Progress(outputs))
