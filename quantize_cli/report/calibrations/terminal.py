"""The calibration for a terminal: what it is of, what is sensitive, and what to know."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from quantize_cli.report import figures
from quantize_cli.report.calibrations import tables
from quantize_cli.report.calibrations.sensitivity import REFERENCE
from quantize_cli.report.terminal import warnings
from quantize_cli.report.terminal_tables import Narrowing, facts, listing
from quantize_cli.sensitivity.model import Calibration

_MOST_SENSITIVE = 5
_NAMES = 40
#: Column -> the width of the narrowest terminal that shows it; all terminals show the others.
_SHOWN_FROM = {"type": 50, "share": 60}


def render(calibration: Calibration, *, model: str) -> RenderableType:
    """Render totals, the most sensitive tensors, and warnings; `model` is a path or Hub id."""
    parts: list[RenderableType] = [_title(calibration, model), _facts(calibration)]
    sensitive = tables.most_sensitive(calibration, _MOST_SENSITIVE)
    if sensitive.rows:
        table = listing()
        table.add_column("most sensitive", style="cyan", max_width=_NAMES)
        table.add_column("type", no_wrap=True)
        for header in ("nats a token", "share"):
            table.add_column(header, justify="right", no_wrap=True)
        for name, *rest in sensitive.rows:
            table.add_row(Text(figures.printable(name), no_wrap=True, overflow="ellipsis"), *rest)
        parts.append(Narrowing(table, _SHOWN_FROM))
    told = tables.warnings(calibration)
    if told:
        parts.append(warnings(told))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _title(calibration: Calibration, model: str) -> RenderableType:
    return Text.assemble(
        (figures.printable(tables.title(model)), "bold"),
        (f"  {figures.printable(calibration.architecture)}", "dim"),
        overflow="fold",
    )


def _facts(calibration: Calibration) -> RenderableType:
    table = facts()
    table.add_column(overflow="fold")
    tokens = sum(text.tokens for text in calibration.texts)
    table.add_row("tokens", f"{tokens:,} in {calibration.sequences:,} sequences of {calibration.context:,}")
    table.add_row(
        "texts", Text(figures.printable(", ".join(f"{text.kind} {text.tokens:,}" for text in calibration.texts)))
    )
    table.add_row("tensors", f"{len(calibration.tensors):,}")
    for type_, _, total in tables.types(calibration).rows:
        if type_ == REFERENCE:
            table.add_row("KLD", f"{total} nats a token predicted, were all tensors {REFERENCE}")
    if calibration.blocks:
        table.add_row("outliers", tables.outlier_summary(calibration))
    return table
