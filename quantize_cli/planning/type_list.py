"""Types of tensors as patterns that match one tensor each, so that another run gives the same types."""

from __future__ import annotations

import re
from collections.abc import Mapping

from quantize_cli.mixes.kept import why_kept

#: What a pattern cannot spell as it stands: llama-quantize changes patterns to lower case, but no names.
_OTHERS = re.compile(r"[^a-z0-9_]")


def type_entries(tensors: Mapping[str, tuple[tuple[int, ...], str]], architecture: str) -> list[tuple[str, str]]:
    """Return a regular expression and a type in lower case for each tensor whose type may be chosen.

    Args:
        tensors: Name -> row-major shape and GGML type.
        architecture: The model's, which decides whose types may be chosen.
    """
    return [
        (f"^{_OTHERS.sub(_spelled, name)}$", type_name.lower())
        for name, (shape, type_name) in tensors.items()
        if why_kept(name, shape, architecture) is None
    ]


def _spelled(character: re.Match[str]) -> str:
    return r"\." if character[0] == "." else "."
