"""What options take, as Click's callbacks. An empty value, for example of an unset variable, is refused."""

from __future__ import annotations

import os
from typing import TypeVar

import click

from quantize_cli.errors import UsageError

#: The text of an option, or the texts of one that may be given several times.
Given = TypeVar("Given", str | None, tuple[str, ...])

MOST_THREADS = 1024


def filled(_context: click.Context, parameter: click.Parameter, given: Given) -> Given:
    """Return what is given.

    Raises:
        UsageError: A text is empty.
    """
    if given == "" or (isinstance(given, tuple) and "" in given):
        name = (
            max(parameter.opts, key=len) if isinstance(parameter, click.Option) else str(parameter.metavar).strip("[].")
        )
        raise UsageError(f"{name} is empty; check the variable that it comes from, or leave it out.")
    return given


def file_name(context: click.Context, parameter: click.Parameter, given: str | None) -> str | None:
    """Return a path, whose ~ is expanded, because shells do not expand it after `=`.

    Raises:
        UsageError: It is empty.
    """
    path = filled(context, parameter, given)
    return None if path is None else expanded(path)


def file_names(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return paths as `file_name` does.

    Raises:
        UsageError: One is empty.
    """
    return tuple(map(expanded, filled(context, parameter, given)))


def threads(_context: click.Context, _parameter: click.Parameter, given: str | None) -> int | None:
    """Return a number of threads.

    Raises:
        UsageError: It is not one.
    """
    return None if given is None else count_of_threads(given)


def tokens(_context: click.Context, parameter: click.Parameter, given: str | None) -> int | None:
    """Return a number of tokens.

    Raises:
        UsageError: It is not one.
    """
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and int(given) >= 1):
        raise UsageError(f"{parameter.opts[0]} takes a number of tokens, not {given[:40]!r}.")
    return int(given)


def count_of_threads(text: str) -> int:
    """Parse a number of threads.

    Raises:
        UsageError: It is not one.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MOST_THREADS):
        raise UsageError(f"--threads takes a number from 1 to {MOST_THREADS}, not {text[:40]!r}.")
    return int(text)


def sample(_context: click.Context, _parameter: click.Parameter, given: str | None) -> int | None:
    """Return a number of pieces.

    Raises:
        UsageError: It is not one.
    """
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and int(given) > 0):
        raise UsageError(f"--sample takes a number of pieces from 1 on, not {given[:40]!r}.")
    return int(given)


def expanded(path: str) -> str:
    """Expand ~ or ~user at the start of a path that does not exist as it stands."""
    return os.path.expanduser(path) if path.startswith("~") and not os.path.lexists(path) else path  # noqa: PTH111
