"""Which tensor gets which type: named tables of rules, what the user asks for, and the engine that reads both."""

from __future__ import annotations

from quantize_cli.errors import UsageError
from quantize_cli.mixes.base import Candidate, Choice, Mix
from quantize_cli.mixes.overrides import TypeOverrides, parse_tensor_type, read_tensor_type_file
from quantize_cli.mixes.rules import choose_types, requires_importance, types_of
from quantize_cli.mixes.tables import ALIASES, MIXES
from quantize_cli.mixes.tensor_types import BLOCK_SIZES, find_type
from quantize_cli.mixes.traits import ModelTraits, is_70b

__all__ = [
    "ALIASES",
    "BLOCK_SIZES",
    "MIXES",
    "Candidate",
    "Choice",
    "Mix",
    "ModelTraits",
    "TypeOverrides",
    "choose_types",
    "find_mix",
    "find_type",
    "is_70b",
    "parse_tensor_type",
    "read_tensor_type_file",
    "requires_importance",
    "types_of",
]


def find_mix(name: str) -> Mix:
    """The mix of that name or alias, in any case.

    Raises:
        UsageError: there is none.
    """
    canonical = ALIASES.get(name.upper(), name.upper())
    if canonical not in MIXES:
        raise UsageError(f"Unknown format {name!r}: choose one of {', '.join(MIXES).lower()}.")
    return MIXES[canonical]
