"""The question before a repository is made public: only a person at a terminal can answer it."""

from __future__ import annotations

import os
import sys

import click

from quantize_cli.cli.console import is_terminal
from quantize_cli.cli.values import filled
from quantize_cli.errors import UsageError, shown


def confirmed(context: click.Context, parameter: click.Parameter, repository: str | None) -> str | None:
    """Return the repository of --push-to, after a question if --public is given, which is read before it.

    Raises:
        UsageError: Nobody is there to answer, or the answer is no.
    """
    filled(context, parameter, repository)
    if repository is None or context.resilient_parsing or not context.params.get("public"):
        return repository
    automatic = os.environ.get("CI", "").lower() not in ("", "0", "false")
    if automatic or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(
            f"--public must be confirmed at a terminal; leave it out, and make {shown(repository)} public in its "
            "settings on the Hub."
        )
    if not click.confirm(f"Make {shown(repository)} public, so that everyone can download it?", err=True):
        raise UsageError("Nothing was done, because --public was not confirmed; leave it out for a private repository.")
    return repository
