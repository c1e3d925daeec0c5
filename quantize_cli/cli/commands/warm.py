"""quantize warm: kernels compiled ahead."""

from __future__ import annotations

import click

from quantize_cli.cli import completing, console, options
from quantize_cli.cli.values import filled


def _warm(formats: tuple[str, ...], debug: bool) -> None:  # noqa: ARG001  `main` looks at `debug`
    """Compile the kernels of these formats, or of all formats, so that no later run has to.

    Use it when you build a container image, for example. The compiled code is kept in your cache folder, or in
    NUMBA_CACHE_DIR.
    """
    from quantize_cli.mixes.find import find_format
    from quantize_cli.mixes.tables import FORMATS

    names = [find_format(name).name for name in formats] or list(FORMATS)
    from quantize_cli.run.compiling import warm as compile_kernels

    with console.progress() as observer:
        compile_kernels(names, observer)


COMMAND = click.Command(
    "warm",
    callback=_warm,
    help=_warm.__doc__,
    short_help="Compile kernels ahead of the first run.",
    params=[
        click.Argument(
            ("formats",), metavar="[FORMAT]...", nargs=-1, callback=filled, shell_complete=completing.formats
        ),
        options.DEBUG,
    ],
)
