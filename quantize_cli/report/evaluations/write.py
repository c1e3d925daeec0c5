"""The files that hold an evaluation; the suffix selects the form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from quantize_cli.evaluation.model import Evaluation
from quantize_cli.report.evaluations import html, markdown
from quantize_cli.report.json_report import as_json
from quantize_cli.report.write import check_report_path, write_as


def to_json(evaluation: Evaluation) -> str:
    """Render ASCII JSON with a final newline, the dataclasses field by field; what is not finite is null."""
    return json.dumps(as_json(evaluation), indent=2, allow_nan=False) + "\n"


#: Suffix -> renderer.
RENDERERS: Mapping[str, Callable[[Evaluation], str]] = {
    ".json": to_json,
    ".md": markdown.render,
    ".html": html.render,
}


def write_evaluation(evaluation: Evaluation, path: Path, *, force: bool = False) -> None:
    """Write an evaluation as .json, .md or .html, by the suffix of `path`.

    Raises:
        UsageError: The suffix is another one.
        OutputError: The file cannot be written, or exists and `force` is not set.
    """
    check_report_path(path, force=force, forms=RENDERERS)
    write_as(path, RENDERERS, evaluation, force=force)
