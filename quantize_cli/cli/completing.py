"""Completion in the shell, by Click's own means: commands, models, formats and paths."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

#: The variable by which the shell's function asks for completions.
VARIABLE = "_QUANTIZE_COMPLETE"

SHELLS = ("bash", "zsh", "fish")

_NAME = "quantize"


def script(shell: str, group: click.Group) -> str:
    """Return the script that a shell reads to complete the command."""
    kind = get_completion_class(shell)
    if kind is None:  # not one of SHELLS
        raise ValueError(shell)
    held = kind(group, {}, _NAME, VARIABLE)
    return held.source_template % held.source_vars()


def complete(group: click.Group) -> int:
    """Answer the shell's function, and return the exit code."""
    return shell_complete(group, {}, _NAME, VARIABLE, os.environ[VARIABLE])


def formats(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the name of a format, or the last of several with commas between them."""
    from quantize_cli.mixes.catalogue import catalogue

    before, comma, last = typed.rpartition(",")
    return [
        CompletionItem(f"{before}{comma}{facts.name.lower()}", help=facts.good_for)
        for facts in catalogue()
        if facts.name.lower().startswith(last.lower())
    ]


def models(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete a model: one of the Hub's cache, and where no word is typed yet a command; a path if none fits."""
    from quantize_cli.checkpoints.cached import cached_models

    group = context.parent.command if context.parent is not None else None
    first = context.command.name == "model" and not context.params.get("words")
    commands = sorted(group.commands) if first and isinstance(group, click.Group) else []
    names = [name for name in (*commands, *cached_models()) if name.startswith(typed)]
    # Click's script for bash forgets what comes before a path.
    return [*paths(context, parameter, typed), *map(CompletionItem, names)]


def paths(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Let the shell complete a path."""
    return [CompletionItem(typed, type="file")]
