"""The list of formats, for people and as JSON, on standard output."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from quantize_cli.cli import console, table
from quantize_cli.errors import UsageError
from quantize_cli.mixes.catalogue import MODEL, FormatFacts
from quantize_cli.mixes.other_names import unknown_format

_LEGEND = f"""
bits        bits per weight of {MODEL}, including scales and other types
block       weights in a block; a tensor whose rows are not whole blocks gets
            another type
imatrix     whether an importance matrix is needed, helps, or is ignored
perplexity  increase over F16 for {MODEL}, as llama-quantize states it"""


def having(parts: Sequence[str], formats: Sequence[FormatFacts]) -> Sequence[FormatFacts]:
    """Select the formats with one of the parts in their names, or all if there are no parts.

    Raises:
        UsageError: A part is not in any name.
    """
    for part in parts:
        if not any(part.upper() in facts.name for facts in formats):
            raise UsageError(unknown_format(part))
    return [facts for facts in formats if not parts or any(part.upper() in facts.name for part in parts)]


def show(formats: Sequence[FormatFacts], *, as_json: bool) -> None:
    """Print the list."""
    if as_json:
        console.put(json.dumps([dataclasses.asdict(facts) for facts in formats], indent=2))
        return
    rows = [
        (
            facts.name.lower(),
            f"{facts.model_bits_per_weight:.2f}",
            f"{facts.block}",
            facts.importance,
            facts.good_for + _also(facts.aliases),
        )
        for facts in formats
    ]
    header = ("format", "bits", "block", "imatrix", "good for")
    console.put("\n".join(table.lines(header, rows, right=frozenset({1, 2}))))
    console.put(_LEGEND)


def _also(aliases: Sequence[str]) -> str:
    return f" Also called {' and '.join(aliases).lower()}." if aliases else ""
