"""Gates as users write them: a limit for the whole model, or REGEX=LIMIT for the tensors whose names match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from quantize_cli.errors import UsageError, shown
from quantize_cli.gates.kinds import KINDS, Kind

#: A limit, "REGEX=LIMIT", several of them, or regex -> limit.
Limits: TypeAlias = float | str | Iterable[float | str] | Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Gate:
    """A limit that a run must keep."""

    kind: Kind
    limit: float
    pattern: re.Pattern[str] | None  #: searched anywhere in a tensor's name; None is for the whole model

    def __str__(self) -> str:
        """Spell it as on the command line."""
        return f"{self.kind.option} {f'{self.pattern.pattern}=' if self.pattern else ''}{self.kind.show(self.limit)}"


def parse_gates(said: Mapping[str, object]) -> tuple[Gate, ...]:
    """Read the gates among the keywords of the library.

    Raises:
        UsageError: A limit is not a number with a unit of its kind, or a pattern is not a regular expression.
    """
    return tuple(_gate(kind, text) for keyword, kind in KINDS.items() for text in _texts(said.get(keyword)))


def _texts(said: object) -> list[str]:
    if said is None:
        return []
    if isinstance(said, Mapping):
        return [f"{pattern}={limit}" for pattern, limit in said.items()]
    if isinstance(said, str) or not isinstance(said, Iterable):
        return [str(said)]
    return [str(item) for item in said]


def _gate(kind: Kind, text: str) -> Gate:
    pattern, equals, limit = text.rpartition("=")
    value = kind.parse(limit)
    if value is None:
        raise UsageError(f"{kind.option} {shown(text)} does not give a limit; write it as in {kind.example}.")
    if not equals:
        return Gate(kind, value, None)
    if not pattern:
        raise UsageError(f"{kind.option} {shown(text)} lacks the pattern before =; write REGEX={limit}.")
    try:
        return Gate(kind, value, re.compile(pattern, re.ASCII))
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{shown(pattern)} is not a regular expression ({error}); correct it.") from None
