"""The types that a tensor can be given, by the names that users write."""

from __future__ import annotations

from quantize_cli.errors import UsageError
from quantize_cli.gguf_file.types import WRITABLE_TYPES


def find_type(name: str) -> str:
    """Return the GGML name of the type `name`, which may be in upper or lower case.

    Raises:
        UsageError: There is no such type; the sentence tells the nearest.
    """
    if name.upper() not in WRITABLE_TYPES:
        from quantize_cli.mixes.other_names import unknown_type  # only a mistake needs it

        raise UsageError(unknown_type(name))
    return name.upper()
