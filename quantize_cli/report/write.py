"""The report of a run: a value for each format written (`model.Report`), and one renderer a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from quantize_cli.errors import OutputError, UsageError
from quantize_cli.report import json_report, markdown
from quantize_cli.report.model import Report

#: Suffix of a report file -> what writes it.
RENDERERS: dict[str, Callable[[Sequence[Report]], str]] = {
    ".json": json_report.render,
    ".md": markdown.render,
}


def check_report_path(path: Path, *, force: bool = False) -> None:
    """Refuse, before a long run, a report that could not be written after it.

    Raises:
        UsageError: the suffix names no renderer.
        OutputError: there is such a file and `force` is not given, or the folder is missing or not writable.
    """
    _renderer(path)
    if path.is_dir():
        raise OutputError(f"The report {path} is a folder; give the path of a file with --report.")
    if path.exists() and not force:
        raise OutputError(f"The report {path} exists already; choose another path, or overwrite it with --force.")
    if not path.parent.is_dir():
        raise OutputError(f"The report's folder {path.parent} does not exist; create it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"The report's folder {path.parent} is not writable; choose another path with --report.")


def write_report(reports: Sequence[Report], path: Path) -> None:
    """Write the reports of a run in the form that the suffix of `path` names; a reader sees all of it or nothing.

    Raises:
        UsageError: the suffix names no renderer.
        OutputError: the file cannot be written; nothing is left behind.
    """
    # A path may hold bytes that are no UTF-8 (lone surrogates in Python).
    text = _renderer(path)(reports).encode("utf-8", "backslashreplace")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"The report {path} cannot be written ({error.strerror}); choose another path with --report."
        ) from error


def _renderer(path: Path) -> Callable[[Sequence[Report]], str]:
    try:
        return RENDERERS[path.suffix.lower()]
    except KeyError:
        raise UsageError(f"The report {path} must end in {' or '.join(RENDERERS)}.") from None
