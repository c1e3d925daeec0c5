"""The errors this package raises on purpose: each is one sentence that says what is wrong, where, and what to do.

Anything else that escapes the library is a bug. The library never prints and never exits; the command line maps
these classes to exit codes (`exit_code`).
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

_repr = reprlib.Repr()
_repr.maxstring = 120
_repr.maxother = 120
_repr.maxlevel = 2

#: `repr` for values out of untrusted files: control characters escaped, length bounded.
shown = _repr.repr


#: As many names as a sentence can bear.
_NAMES = 5


def listed(names: Sequence[str]) -> str:
    """Join names for a sentence; of many, the first few and how many more there are."""
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more:,} more" if more > 0 else "")


class QuantizeError(Exception):
    """Base of every deliberate error; `str(error)` is the sentence a user reads."""

    exit_code = 1


class CheckpointError(QuantizeError):
    """The checkpoint's files are missing, damaged or contradict each other."""


class UnsupportedError(QuantizeError):
    """The input is well formed, but of a kind this version cannot convert."""


class OutputError(QuantizeError):
    """The output cannot be written: it exists, its folder is not writable, or the disk is too small."""


class UsageError(QuantizeError):
    """An option or argument is wrong."""

    exit_code = 2
