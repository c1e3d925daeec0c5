"""The evaluation as an HTML page that needs no other file: the curve of size against KLD, and all tables."""

from __future__ import annotations

from quantize_cli.evaluation.model import Evaluation
from quantize_cli.report import markup
from quantize_cli.report.evaluations import tables
from quantize_cli.report.evaluations.curve import curves

_SCRIPTS = ("charts.js", "evaluation.js")

_ABOUT_CURVE = (
    "KLD is the mean Kullback-Leibler divergence of the predictions, in nats a token: 0 is the original. A line joins "
    "the files that no other one beats in both size and KLD."
)
_ABOUT_KINDS = "The mean KLD on each kind of text. Look at the kind that the model will be used for."


def render(evaluation: Evaluation) -> str:
    """Render a page with a final newline."""
    title = tables.title(evaluation)
    body = [
        markup.heading(1, title),
        markup.tiles(tables.headline(evaluation)),
        markup.heading(2, "Size against divergence"),
        markup.chart("curve"),
        markup.note(_ABOUT_CURVE),
        markup.table(tables.comparison(evaluation)),
        markup.heading(2, "KLD by kind of text"),
        markup.note(_ABOUT_KINDS),
        markup.table(tables.kinds(evaluation)),
        markup.heading(2, "KLD over the tokens"),
        markup.table(tables.spread(evaluation)),
        markup.heading(2, "Texts"),
        markup.table(tables.texts(evaluation.texts)),
        markup.footer(evaluation.generator),
    ]
    return markup.page(title, body, markup.packed(curves(evaluation)), _SCRIPTS)
