"""quantize architectures: the list of models that convert."""

from __future__ import annotations

import click

from quantize_cli.cli import options


def _architectures(json: bool, debug: bool) -> None:  # noqa: ARG001  `main` looks at `debug`
    """List the models that convert: their classes in config.json, and their architectures in GGUF."""
    from quantize_cli.architectures.catalogue import catalogue
    from quantize_cli.cli import architectures

    architectures.show(catalogue(), as_json=json)


COMMAND = click.Command(
    "architectures",
    callback=_architectures,
    help=_architectures.__doc__,
    short_help="List the models that convert.",
    params=[options.AS_JSON, options.DEBUG],
)
