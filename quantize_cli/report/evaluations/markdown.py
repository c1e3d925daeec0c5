"""The evaluation as GitHub-flavoured Markdown."""

from __future__ import annotations

from quantize_cli.evaluation.model import Evaluation
from quantize_cli.report.evaluations import tables
from quantize_cli.report.markdown import escaped, table
from quantize_cli.report.tables import Table


def render(evaluation: Evaluation) -> str:
    """Render Markdown with a final newline."""
    parts = [
        f"# {escaped(tables.title(evaluation))}",
        table(tables.comparison(evaluation)),
        "## KLD by kind of text",
        table(tables.kinds(evaluation)),
        "## KLD over the tokens",
        table(tables.spread(evaluation)),
        "## Texts",
        table(tables.texts(evaluation.texts)),
        "## How it was measured",
        table(Table(("Fact", ""), tables.headline(evaluation), 2)),
        f"Written by {escaped(evaluation.generator)}.",
    ]
    return "\n\n".join(parts) + "\n"
