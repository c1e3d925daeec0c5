"""The deliberate errors of this package. Each is one sentence that tells what is wrong, where, and what to do.

Any other exception that leaves the library is a bug. The library never prints and never exits; the command line maps
these classes to exit codes (`exit_code`).
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence


class _Repr(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        """Show an integer; Python refuses to write very long ones as decimal digits."""
        try:
            return super().repr_int(x, level)
        except ValueError:
            return f"<an integer of {x.bit_length():,} bits>"


_repr = _Repr()
_repr.maxstring = 120
_repr.maxother = 120
_repr.maxlevel = 2

#: `repr` for values from untrusted files; it escapes control characters and bounds the length.
shown = _repr.repr


#: The most names that a sentence lists.
_NAMES = 5


def printable(text: str) -> str:
    """Replace control characters and line breaks by "?", because names come from untrusted files."""
    return "".join(character if character.isprintable() else "?" for character in text)


def listed(names: Sequence[str]) -> str:
    """Join names for a sentence; if there are many, list the first few and count the others."""
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more:,} more" if more > 0 else "")


class QuantizeError(Exception):
    """Base of every deliberate error; `str(error)` is the sentence that a user reads."""

    exit_code = 1


class CheckpointError(QuantizeError):
    """The checkpoint's files are missing, damaged or contradict each other."""


class UnsupportedError(QuantizeError):
    """The input is well formed, but of a kind that this version cannot convert."""


class OutputError(QuantizeError):
    """The output cannot be written: it exists, its folder is not writable, or the disk is too small."""


class UsageError(QuantizeError):
    """An option or argument is wrong."""

    exit_code = 2


class GateError(QuantizeError):
    """A gate of the run is not passed: the output is larger, or further from its source, than the user allows."""

    exit_code = 3
