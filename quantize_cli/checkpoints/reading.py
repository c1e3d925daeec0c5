"""Helpers of all readers of files on a disk: sentences for refusals, and stamps that reveal a change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from quantize_cli.errors import CheckpointError

#: A file's size in bytes and the time of its last change in nanoseconds; writing to the file changes them.
Stamp: TypeAlias = tuple[int, int]


def stamp_of(stat: os.stat_result) -> Stamp:
    """Return a file's stamp; take it before the file is read."""
    return stat.st_size, stat.st_mtime_ns


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the system's refusals about `path` into sentences, and refuse a pipe or device, which could block."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise CheckpointError(f"{path} is not a regular file; take the model from a source you trust.")
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; download it, or the whole model, again.") from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); check its permissions and its disk."
        ) from error
