"""quantize doctor: the machine and the installation."""

from __future__ import annotations

import click

from quantize_cli.cli import options


def _doctor(json: bool, debug: bool) -> None:  # noqa: ARG001  `main` looks at `debug`
    """Show what matters to a run: versions, processor, compiled kernels, folders, memory and disks."""
    from quantize_cli.cli import condition
    from quantize_cli.health import examine

    condition.show(examine(), as_json=json)


COMMAND = click.Command(
    "doctor",
    callback=_doctor,
    help=_doctor.__doc__,
    short_help="Show versions, processor, caches, memory and disks.",
    params=[options.AS_JSON, options.DEBUG],
)
