"""The evaluation for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from quantize_cli.evaluation.model import Evaluation
from quantize_cli.report import figures
from quantize_cli.report.evaluations import tables
from quantize_cli.report.terminal_tables import Narrowing, facts, listing

#: Column -> the width of the narrowest terminal that shows it; all terminals show the others.
_SHOWN_FROM = {"size": 56, "bits": 62, "99.9 %": 70, "same top": 80, "PPL": 90, "ln ratio": 112, "less the first": 134}

#: Most columns of a label; its end tells more than its beginning.
_NAMES = 20
#: Columns of a KLD of one kind, the space behind it included.
_KIND = 9


def render(evaluation: Evaluation) -> RenderableType:
    """Render a row for each file, the KLD by kind of text, and what the figures are of."""
    parts = [_title(evaluation), _files(evaluation), _kinds(evaluation), _facts(evaluation)]
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _title(evaluation: Evaluation) -> RenderableType:
    return Text.assemble(
        (figures.printable(tables.title(evaluation)), "bold"),
        (f"  {figures.printable(evaluation.architecture)}", "dim"),
        overflow="fold",
    )


def _files(evaluation: Evaluation) -> RenderableType:
    several = any(file.from_first for file in evaluation.files)
    table = listing()
    table.add_column("file", style="cyan", no_wrap=True)
    header = ("size", "bits", "KLD", "99.9 %", "same top", "PPL", "ln ratio", *(("less the first",) if several else ()))
    for name in header:
        table.add_column(name, justify="right", no_wrap=True)
    for label, file in zip(_labels(evaluation), evaluation.files, strict=True):
        held = file.all
        table.add_row(
            label,
            figures.size(file.bytes),
            figures.fixed(file.bits_per_weight, 2),
            tables.kld(held),
            tables.nats(held.kld_99_9),
            tables.same_top(held),
            tables.perplexity(held.perplexity),
            tables.with_error(held.ln_ratio, held.ln_ratio_error),
            *((tables.difference(file.from_first),) if several else ()),
        )
    return Narrowing(table, _SHOWN_FROM)


def _kinds(evaluation: Evaluation) -> RenderableType:
    """Render the worst kind of each file; all kinds stand behind it where the terminal has room for them."""
    names = [figures.printable(name) for name in tables.kinds_of(evaluation)]
    table = listing()
    table.add_column("KLD by kind", style="cyan", no_wrap=True)
    table.add_column("worst kind", no_wrap=True, max_width=_NAMES, overflow="ellipsis")
    table.add_column("its KLD", justify="right", no_wrap=True)
    for name in names:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for label, file in zip(_labels(evaluation), evaluation.files, strict=True):
        worst, held = tables.worst_kind(file), dict(file.by_kind)
        table.add_row(
            label,
            Text(figures.printable(worst[0]) if worst else figures.NONE),
            tables.nats(worst[1].mean_kld) if worst else figures.NONE,
            *(
                tables.nats(held[kind].mean_kld) if kind in held else figures.NONE
                for kind in tables.kinds_of(evaluation)
            ),
        )
    width = 2 * _NAMES + _KIND + sum(max(len(name) + 1, _KIND) for name in names)
    return Narrowing(table, dict.fromkeys(names, width))


def _facts(evaluation: Evaluation) -> RenderableType:
    table = facts()
    table.add_column(overflow="fold")
    first = evaluation.files[0].all
    table.add_row("tokens", f"{first.tokens:,} scored, the second half of each {evaluation.context:,}")
    table.add_row("original", f"perplexity {tables.perplexity(first.original_perplexity)}")
    table.add_row("computed", Text(f"in {evaluation.dtype} on {evaluation.device}"))
    table.add_row("time", f"{evaluation.seconds:.1f} s")
    return table


def _labels(evaluation: Evaluation) -> list[Text]:
    labels = tables.labels(evaluation)
    return [Text(label if len(label) <= _NAMES else f"...{label[3 - _NAMES :]}") for label in labels]
