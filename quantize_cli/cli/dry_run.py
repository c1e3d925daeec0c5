"""What a run would write, from headers alone, on standard output."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantize_cli.cli import console, table
from quantize_cli.cli.options import OF_A_RUN
from quantize_cli.errors import printable
from quantize_cli.report.figures import bits_per_weight, size

if TYPE_CHECKING:
    from quantize_cli.planning.model import Plan, PlannedTensor

_LAYER = re.compile(r"^blk\.\d+\.")


def show(model: str | Path, formats: Sequence[str], passed_on: Mapping[str, Any]) -> None:
    """Plan the formats and print each plan: a line for each kind of tensor, and the size of the file."""
    from quantize_cli.api import plan

    if passed_on["report"]:
        click.echo("warning: --report has no effect with --dry-run, which does not write any file.", err=True)
    keywords = {name: value for name, value in passed_on.items() if name not in OF_A_RUN}
    for planned in plan(model, list(formats), **keywords):
        console.put("\n".join([*map(printable, _lines(planned)), ""]))
        for warning in planned.warnings:
            click.echo(printable(f"warning: {warning}"), err=True)


def _lines(plan: Plan) -> list[str]:
    kinds: dict[tuple[str, str, str], list[PlannedTensor]] = defaultdict(list)
    for tensor in plan.tensors:
        kinds[_LAYER.sub("blk.*.", tensor.name), tensor.type, tensor.reason].append(tensor)
    rows = [
        (kind, type_, f"{len(tensors):,}", size(sum(tensor.nbytes for tensor in tensors)), reason)
        for (kind, type_, reason), tensors in kinds.items()
    ]
    bits = bits_per_weight(sum(tensor.nbytes for tensor in plan.tensors), plan.weights)
    files = "" if len(plan.files) == 1 else f" in {len(plan.files):,} files"
    return [
        f"{plan.model} as {plan.format} ({plan.architecture})",
        "",
        *table.lines(("tensor", "type", "count", "size", "reason"), rows, right=frozenset({2, 3})),
        "",
        f"{plan.weights:,} weights in {len(plan.tensors):,} tensors, {bits} bits/weight",
        f"{plan.file_bytes:,} bytes ({size(plan.file_bytes)}){files} would be written",
    ]
