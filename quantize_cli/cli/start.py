"""The first thing that runs: it imports next to nothing, so that a signal finds its handler from the first moment."""

from __future__ import annotations

import gc
import io
import os
import sys

from quantize_cli.cli.stopping import INTERRUPTED, SIGNALLED, STOPPED, leave, stop_at_once, stop_on_signals


def main() -> int:
    """Run the `quantize` command with the arguments of the process, and return its exit code."""
    try:
        stop_on_signals()
        _hold_standard_streams()
        # NumPy's library for matrix products, which are not needed, starts a thread for each processor; where the
        # system does not allow that, it interrupts the process.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from quantize_cli.cli.app import main as command

        code = command()
    except SystemExit as end:  # a signal during the imports
        code = int(end.code or 0)
        if code == INTERRUPTED:
            sys.stderr.write(f"quantize: {STOPPED}\n")
    if code > SIGNALLED:
        leave(code)
    stop_at_once()
    gc.freeze()  # or Python looks through all modules for garbage before it ends, which takes a fifth of a second
    return code


def _hold_standard_streams() -> None:
    """Let closed standard streams lead nowhere, and let nothing fail because standard error cannot be written.

    A file that is opened gets the lowest free number. If that were 2, a library's messages would end in the model.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    usual = sys.stderr
    encoding, errors = (usual.encoding, usual.errors) if usual else ("utf-8", "backslashreplace")
    held = io.BufferedWriter(_Forgiving(2, "wb", closefd=False))
    sys.stderr = io.TextIOWrapper(held, encoding, errors, line_buffering=True, write_through=True)


class _Forgiving(io.FileIO):
    """A stream that loses what it cannot write: a full disk behind standard error must not end a run."""

    def write(self, data: object, /) -> int:
        """Write what can be written."""
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        try:
            return super().write(data) or size  # type: ignore[arg-type]
        except OSError:
            return size
