"""Formats by the names that users write."""

from __future__ import annotations

from quantize_cli.errors import UsageError
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.tables import ALIASES, FORMATS


def find_format(name: str) -> Mix:
    """Return the format of that name or alias, in upper or lower case.

    Raises:
        UsageError: There is no such format; the sentence tells the nearest.
    """
    canonical = ALIASES.get(name.upper(), name.upper())
    if canonical not in FORMATS:
        from quantize_cli.mixes.other_names import unknown_format  # only a mistake needs it

        raise UsageError(unknown_format(name))
    return FORMATS[canonical]
