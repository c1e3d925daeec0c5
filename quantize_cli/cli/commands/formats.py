"""quantize formats: the list of formats."""

from __future__ import annotations

import click

from quantize_cli.cli import options
from quantize_cli.cli.values import filled


def _formats(parts: tuple[str, ...], json: bool, debug: bool) -> None:  # noqa: ARG001  `main` looks at `debug`
    """List the formats: how large each is, whether it needs an importance matrix, and what it is good for.

    With PART, it lists the formats with PART in their names, for example q4.
    """
    from quantize_cli.cli import listing
    from quantize_cli.mixes.catalogue import catalogue

    listing.show(listing.having(parts, catalogue()), as_json=json)


COMMAND = click.Command(
    "formats",
    callback=_formats,
    help=_formats.__doc__,
    short_help="List the formats, and what each is good for.",
    params=[
        click.Argument(("parts",), metavar="[PART]...", nargs=-1, callback=filled),
        options.AS_JSON,
        options.DEBUG,
    ],
)
