"""Where reports of a run go beside files: standard output, and the summary of a job of GitHub Actions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantize_cli.cli import console
from quantize_cli.errors import UsageError, printable

if TYPE_CHECKING:
    from quantize_cli.report.model import Report

#: What `--report` takes for standard output -> the suffix that selects the same form.
PRINTED = {"-": ".md", "md:-": ".md", "json:-": ".json", "html:-": ".html"}

#: Names the file whose Markdown GitHub shows with the job.
_SUMMARY = "GITHUB_STEP_SUMMARY"


def parted(
    given: str | Path | Iterable[str | Path] | None, *, model_printed: bool
) -> tuple[list[str | Path], str | None]:
    """Part what the keyword `report` was given into paths, and the form that is printed, if one is.

    Raises:
        UsageError: Standard output would hold more than one thing.
    """
    names = [given] if isinstance(given, str | Path) else list(given or ())
    printed = list(dict.fromkeys(PRINTED[str(name)] for name in names if str(name) in PRINTED))
    if printed and model_printed:
        raise UsageError("Standard output cannot hold both the model and its report; give --report the name of a file.")
    if len(printed) > 1:
        raise UsageError("Standard output holds one report; write the others to files with --report FILE.")
    return [name for name in names if str(name) not in PRINTED], printed[0] if printed else None


def show(reports: Sequence[Report], printed: str | None) -> None:
    """Print the reports in the form of that suffix, and append a summary to that of the job, if there is one."""
    if printed is not None:
        from quantize_cli.report.write import RENDERERS

        console.put(RENDERERS[printed](reports).removesuffix("\n"))
    if path := os.environ.get(_SUMMARY):
        _summarise(reports, Path(path))


def _summarise(reports: Sequence[Report], path: Path) -> None:
    from quantize_cli.report import markdown

    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{markdown.summary(reports)}\n")
    except OSError as error:
        told = f"warning: ${_SUMMARY} ({path}) cannot be written ({error.strerror}); the model itself is complete."
        click.echo(printable(told), err=True)
