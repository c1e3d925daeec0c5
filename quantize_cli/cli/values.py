"""The kinds of values that options take. A value that is empty, for example of a variable that is not set, is refused."""

from __future__ import annotations

import os
from typing import Any

import click

from quantize_cli.errors import UsageError


class Text(click.ParamType):
    """A text that is not empty."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text.

        Raises:
            UsageError: It is empty.
        """
        if value == "":
            raise UsageError(f"{called(param)} is empty; check the variable that it comes from, or leave it out.")
        return value


class FileName(Text):
    """A path, whose ~ is expanded, because shells do not expand it after `=`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path as it was given, or below a home folder.

        Raises:
            UsageError: It is empty.
        """
        return expanded(super().convert(value, param, ctx))


class Count(click.ParamType):
    """A whole number from 1 to a maximum."""

    name = "count"

    def __init__(self, most: int) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number.

        Raises:
            UsageError: It is not such a number.
        """
        text = str(value)
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= self.most):
            raise UsageError(f"{called(param)} takes a number from 1 to {self.most}, not {text[:40]!r}.")
        return int(text)


def called(param: click.Parameter | None) -> str:
    """Name an option or argument as the user writes it."""
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return "MODEL"


def expanded(path: str) -> str:
    """Expand ~ or ~user at the start of a path that does not exist as it stands."""
    return os.path.expanduser(path) if path.startswith("~") and not os.path.lexists(path) else path  # noqa: PTH111
