"""The list of formats, for people and as JSON, on standard output."""

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
bits        bits per weight of {MODEL}, including scales and other types
block       weights in a block; a tensor whose rows are not whole blocks gets
            another type
imatrix     whether an importance matrix is needed, helps, or is ignored
perplexity  increase over F16 for {MODEL}, as llama-quantize states it"""


def show(formats: Sequence[FormatFacts], *, as_json: bool) -> None:
    """Print the list."""
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
