"""Which tensor gets which type: named tables of rules, and the engine that reads them."""

from __future__ import annotations

from quantize_cli.errors import UsageError
from quantize_cli.mixes.base import Choice, Mix, Place
from quantize_cli.mixes.roles import Role, role_of, why_kept
from quantize_cli.mixes.rules import choose
from quantize_cli.mixes.tables import MIXES

__all__ = ["MIXES", "Choice", "Mix", "Place", "Role", "choose", "find_mix", "role_of", "why_kept"]


def find_mix(name: str) -> Mix:
    """The mix of that name, in any case.

    Raises:
        UsageError: there is none.
    """
    mix = MIXES.get(name.upper())
    if mix is None:
        raise UsageError(f"Unknown format {name!r}: choose one of {', '.join(MIXES).lower()}.")
    return mix
