"""The list of formats, for people and as JSON: what was asked for, so on standard output."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from quantize_cli.mixes.catalogue import MODEL, FormatFacts

_LEGEND = f"""
bits     per weight of {MODEL}, scales and types that are mixed in included
block    weights stored together; rows that it does not divide get another type
imatrix  what an importance matrix (--imatrix) is for it"""


def show(formats: Sequence[FormatFacts], *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(facts) for facts in formats], indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("format", style="cyan", no_wrap=True)
    for header in ("bits", "block"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("imatrix", no_wrap=True)
    table.add_column("good for")
    for facts in formats:
        table.add_row(
            facts.name.lower(),
            f"{facts.model_bits_per_weight:.2f}",
            f"{facts.block}",
            facts.importance,
            facts.good_for + _also(facts.aliases),
        )
    Console(highlight=False).print(table, _LEGEND, sep="\n")


def _also(aliases: Sequence[str]) -> str:
    return f" Also called {' and '.join(aliases).lower()}." if aliases else ""
