"""quantize formats: the list of formats."""

from __future__ import annotations

import click

from quantize_cli.cli import console, options
from quantize_cli.cli.values import file_name, filled
from quantize_cli.errors import UsageError


def _formats(
    parts: tuple[str, ...],
    model: str | None,
    fits: str | None,
    context: int | None,
    revision: str | None,
    pre_tokenizer: str | None,
    json: bool,
    debug: bool,  # noqa: ARG001  `main` looks at it
) -> None:
    """List the formats: how large each is, whether it needs an importance matrix, and what it is good for.

    With PART, it lists the formats with PART in their names, for example q4. With --for MODEL, it shows the exact size
    of that model's file in each format, and about how much memory it takes to run; no weight is read.
    """
    from quantize_cli.cli import listing
    from quantize_cli.mixes.catalogue import catalogue

    facts = listing.having(parts, catalogue())
    if model is None:
        if fits is not None or context is not None:
            raise UsageError("--fits and --context are about a model's file; name the model with --for.")
        listing.show(facts, as_json=json)
        return
    from quantize_cli.api import preview
    from quantize_cli.cli.words import with_near_names

    with console.progress() as observer, with_near_names(model):
        found = preview(
            model, context=context, fits=fits, observer=observer, revision=revision, pre_tokenizer=pre_tokenizer
        )
    listing.show_for(facts, found, as_json=json)


COMMAND = click.Command(
    "formats",
    callback=_formats,
    help=_formats.__doc__,
    short_help="List the formats, and what each is good for.",
    params=[
        click.Argument(("parts",), metavar="[PART]...", nargs=-1, callback=filled),
        click.Option(
            ("model", "--for"), metavar="MODEL", callback=file_name, help="Show the exact sizes of this model's files."
        ),
        options.FITS,
        options.CONTEXT,
        options.REVISION,
        options.PRE_TOKENIZER,
        options.AS_JSON,
        options.DEBUG,
    ],
)
