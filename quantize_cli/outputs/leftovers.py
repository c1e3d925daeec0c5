"""Hidden files that a killed run has left in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from quantize_cli.outputs.names import OLD
from quantize_cli.outputs.temporary import PREFIX, SUFFIX


def leftovers(folders: Iterable[Path]) -> Iterator[str]:
    """Describe what killed runs have left in `folders`, a sentence for each file; skip the files of living runs."""
    for folder in folders:
        for path in sorted(_hidden(folder)):
            with suppress(OSError):
                size = path.stat().st_size
                if path.suffix == OLD:
                    yield (
                        f"{path} ({size:,} bytes) is an older output that a run which was killed had moved aside; "
                        "give it a name, or delete it."
                    )
                elif not _is_locked(path):
                    yield f"{path} ({size:,} bytes) is left from a run that was killed; delete it."


def _hidden(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(PREFIX)
            and entry.name.endswith((SUFFIX, OLD))
            and entry.is_file(follow_symlinks=False)
        ]
    return []


def _is_locked(path: Path) -> bool:
    """Tell whether a run holds the lock of its temporary file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
