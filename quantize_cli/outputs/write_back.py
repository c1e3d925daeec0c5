"""Bytes that go to the disk while the run goes on, so that the sync at the end has little left to wait for.

The system holds in memory what is written, and by itself begins only after some seconds to bring it to the disk. Here
it is asked to begin at once. That is a hint: it promises nothing and waits for nothing. Where the system does not take
such a hint, the sync at the end does all the work.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import BinaryIO

from quantize_cli.outputs.lanes import Lane

#: Bytes that are asked for at a time.
_STEP = 16 << 20
#: SYNC_FILE_RANGE_WRITE of Linux: begin to write, and wait for nothing.
_BEGIN = 2


def _system_call() -> Callable[[int, int, int, int], int] | None:
    """Find sync_file_range(2); None where the system does not have it."""
    if not sys.platform.startswith("linux"):
        return None
    with suppress(AttributeError, OSError):
        found = ctypes.CDLL(None).sync_file_range
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
        return found
    return None


_SYNC_FILE_RANGE = _system_call()


class WriteBack:
    """Asks the system to write out what a file has got.

    Args:
        file: The file.
        lane: What asks; where the disk is busy, the system lets it wait.
    """

    def __init__(self, file: BinaryIO, lane: Lane) -> None:
        self._file = file
        self._lane = lane
        self._asked = 0

    def begin(self, nbytes: int) -> None:
        """Hear that the file has `nbytes` bytes."""
        left = nbytes - self._asked
        if left >= _STEP and self._lane.offer(partial(_write_out, self._file, self._asked, left)):
            self._asked = nbytes


def _write_out(file: BinaryIO, start: int, nbytes: int) -> None:
    if _SYNC_FILE_RANGE is not None:
        with suppress(ValueError):  # a file that is closed
            _SYNC_FILE_RANGE(file.fileno(), start, nbytes, _BEGIN)
