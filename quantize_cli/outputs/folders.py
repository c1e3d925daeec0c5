"""Folders that a run makes for its output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quantize_cli.outputs.refusals import writing


@contextmanager
def made(folder: Path | None) -> Iterator[None]:
    """Make a folder, and all above it, for the block; if the block fails, remove those that were made and are empty.

    Raises:
        OutputError: The folder cannot be made.
    """
    missing = [] if folder is None else [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        for place in reversed(missing):
            with writing(place):
                place.mkdir(exist_ok=True)
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):  # of a folder that is not empty, for example
                place.rmdir()
        raise
