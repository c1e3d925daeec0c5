"""The files that hold the reports of a run; the suffix of each selects the renderer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

from quantize_cli.errors import UsageError
from quantize_cli.outputs.checks import check_output
from quantize_cli.outputs.refusals import named
from quantize_cli.outputs.sinks import replacing
from quantize_cli.report.model import Report


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


def check_report_path(path: Path, *, force: bool) -> None:
    """Refuse, before a long run, a report that could not be written after it.

    Raises:
        UsageError: The suffix does not select a renderer.
        OutputError: See `check_output`.
    """
    _renderer(path)
    check_output(path, force=force, option=_OPTION)


def write_report(reports: Sequence[Report], path: Path, *, force: bool) -> None:
    """Write the reports of a run in the form that the suffix of `path` selects; a reader sees all of it or nothing.

    Raises:
        UsageError: The suffix does not select a renderer.
        OutputError: The file cannot be written, or exists and `force` is not set. Nothing is left behind.
    """
    # A path may hold bytes that are not UTF-8 (lone surrogates in Python).
    text = _renderer(path)(reports).encode("utf-8", "backslashreplace")
    with replacing([path], force=force, option=_OPTION) as (sink,):
        sink.write(text)


def _renderer(path: Path) -> Callable[[Sequence[Report]], str]:
    try:
        return RENDERERS[path.suffix.lower()]
    except KeyError:
        *others, last = RENDERERS
        raise UsageError(f"The name of the report {path} must end in {', '.join(others)} or {last}.") from None
