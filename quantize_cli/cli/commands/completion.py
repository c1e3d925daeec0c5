"""quantize completion: the script by which a shell completes the command."""

from __future__ import annotations

import click

from quantize_cli.cli import completing, console, options


def _completion(shell: str, debug: bool) -> None:  # noqa: ARG001  `main` looks at `debug`
    """Print the script that completes commands, models, formats and paths in SHELL: bash, zsh or fish.

    In bash, add this line to ~/.bashrc: eval "$(quantize completion bash)". In zsh, add the same with zsh to ~/.zshrc.
    In fish, run: quantize completion fish > ~/.config/fish/completions/quantize.fish
    """
    group = click.get_current_context().find_root().command
    assert isinstance(group, click.Group)
    console.put(completing.script(shell, group))


COMMAND = click.Command(
    "completion",
    callback=_completion,
    help=_completion.__doc__,
    short_help="Print a script that completes the command in a shell.",
    params=[click.Argument(("shell",), type=click.Choice(completing.SHELLS)), options.DEBUG],
)
