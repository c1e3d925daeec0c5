"""What the system says of an output that cannot be written, as sentences."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quantize_cli.errors import OutputError, UsageError

#: Advice on errors of the system; on all others it is to write elsewhere.
_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit (ulimit -f), or choose a disk that takes files of this size",
    errno.EPIPE: "let its reader take all of it",
    errno.EAGAIN: "give it a stream that waits for its reader",
    errno.EMFILE: "write fewer files at a time, or allow more with ulimit -n",
}


def refusal(output: Path | str, error: OSError, option: str = "-o") -> OutputError:
    """Make the sentence for an error of the system on `output`, which `option` chose."""
    advice = _ADVICE.get(error.errno or 0, f"choose another path with {option}")
    return OutputError(f"{output} cannot be written ({error.strerror or error}); {advice}.")


@contextmanager
def writing(output: Path | str, option: str = "-o") -> Iterator[None]:
    """Turn the system's refusals to write `output`, which `option` chose, into sentences.

    The block must not hold any other work, because an error of it would be blamed on the output.
    """
    try:
        yield
    except OSError as error:
        raise refusal(output, error, option) from error


def named(output: str | Path, option: str = "-o") -> Path:
    """Return the path of a file or folder, which `option` chose.

    Raises:
        UsageError: No file can have this name.
    """
    try:
        possible = b"\0" not in os.fsencode(output)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise UsageError(f"{str(output)!a} cannot be the name of a file; choose another path with {option}.")
    if not os.fspath(output):
        raise UsageError(f"The path given with {option} is empty; name a file or a folder.")
    return Path(output)
