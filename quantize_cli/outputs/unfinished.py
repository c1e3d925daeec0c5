"""Hidden files that this process has made and not yet named or removed."""

from __future__ import annotations

import os

#: Their paths. The module imports nothing more, because a signal's handler needs it at any moment.
unfinished: set[str] = set()


def remove_unfinished() -> None:
    """Remove them at once, because the process is about to end without unwinding its stack."""
    for path in list(unfinished):
        try:
            os.unlink(path)  # noqa: PTH108
        except OSError:
            continue
