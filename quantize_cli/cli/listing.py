"""The list of formats, for people and as JSON, on standard output."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from quantize_cli.cli import console, table
from quantize_cli.errors import UsageError, printable
from quantize_cli.mixes.catalogue import MODEL, FormatFacts
from quantize_cli.mixes.other_names import unknown_format

if TYPE_CHECKING:
    from quantize_cli.previews.model import Preview

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


def show_for(formats: Sequence[FormatFacts], found: Preview, *, as_json: bool) -> None:
    """Print the list with the sizes of one model's files, largest first."""
    from quantize_cli.cli import plan_view

    facts = {held.name: held for held in formats}
    chosen = replace(found, choices=tuple(choice for choice in found.choices if choice.size.format in facts))
    if as_json:
        console.put(json.dumps(chosen.to_dict(), indent=2))
        return
    console.put(
        "\n".join(map(printable, plan_view.advice(chosen, {name: held.good_for for name, held in facts.items()})))
    )


def _also(aliases: Sequence[str]) -> str:
    return f" Also called {' and '.join(aliases).lower()}." if aliases else ""
