"""The files that hold the reports of a run; the suffix of each selects the renderer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TypeVar, cast

from quantize_cli.errors import UsageError
from quantize_cli.outputs.checks import check_output
from quantize_cli.outputs.refusals import named
from quantize_cli.outputs.sinks import replacing
from quantize_cli.report.model import Report

Value = TypeVar("Value")


def _from(module: str) -> Callable[[Sequence[Report]], str]:
    """Return the renderer of a module, which is imported on the first use: most runs write no report."""

    def render(reports: Sequence[Report]) -> str:
        return cast("str", import_module(f"quantize_cli.report.{module}").render(reports))

    return render


#: Suffix of a report file -> its renderer.
RENDERERS: dict[str, Callable[[Sequence[Report]], str]] = {
    ".json": _from("json_report"),
    ".md": _from("markdown"),
    ".html": _from("html"),
}


#: The option that chooses the paths.
_OPTION = "--report"


def report_paths(given: str | Path | Iterable[str | Path] | None) -> list[Path]:
    """Return the paths that are given, one or several, each once.

    Raises:
        UsageError: A path is empty.
    """
    paths = [given] if isinstance(given, str | Path) else given or []
    return list(dict.fromkeys(named(path, _OPTION) for path in paths))


def check_report_path(path: Path, *, force: bool, forms: Collection[str] = RENDERERS) -> None:
    """Refuse, before a long run, a report that could not be written after it.

    Args:
        path: Where it will be.
        force: Whether it may replace a file.
        forms: Suffixes that have a renderer.

    Raises:
        UsageError: The suffix is not one of them.
        OutputError: See `check_output`.
    """
    _form(path, forms)
    check_output(path, force=force, option=_OPTION)


def write_report(reports: Sequence[Report], path: Path, *, force: bool) -> None:
    """Write the reports of a run; see `write_as`."""
    write_as(path, RENDERERS, reports, force=force)


def write_as(path: Path, renderers: Mapping[str, Callable[[Value], str]], value: Value, *, force: bool) -> None:
    """Write `value` in the form that the suffix of `path` selects; a reader sees all of it or nothing.

    Args:
        path: Where to write.
        renderers: Suffix -> what makes the text.
        value: What is rendered.
        force: Whether a file may be replaced.

    Raises:
        UsageError: The suffix does not select a renderer.
        OutputError: The file cannot be written, or exists and `force` is not set. Nothing is left behind.
    """
    # A path may hold bytes that are not UTF-8 (lone surrogates in Python).
    text = renderers[_form(path, renderers)](value).encode("utf-8", "backslashreplace")
    with replacing([path], force=force, option=_OPTION) as (sink,):
        sink.write(text)


def _form(path: Path, forms: Collection[str]) -> str:
    """Return the suffix of `path`, which selects a renderer."""
    suffix = path.suffix.lower()
    if suffix not in forms:
        *others, last = forms
        raise UsageError(f"The name of the report {path} must end in {', '.join(others)} or {last}.")
    return suffix
