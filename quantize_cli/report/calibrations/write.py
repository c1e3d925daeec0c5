"""The files that hold a calibration's page; the suffix selects the form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from quantize_cli.report.calibrations import html, markdown
from quantize_cli.report.write import check_report_path, write_as
from quantize_cli.sensitivity.model import Calibration

#: Suffix -> renderer, which takes the model's name too. All figures stand in the calibration's own file.
RENDERERS: Mapping[str, Callable[..., str]] = {".md": markdown.render, ".html": html.render}


def write_calibration_page(calibration: Calibration, model: str, path: Path, *, force: bool = False) -> None:
    """Write what was measured of `model`, a path or Hub id, as .md or .html, by the suffix of `path`.

    Raises:
        UsageError: The suffix is another one.
        OutputError: The file cannot be written, or exists and `force` is not set.
    """
    check_report_path(path, force=force, forms=RENDERERS)
    named = {suffix: partial(render, model=model) for suffix, render in RENDERERS.items()}
    write_as(path, named, calibration, force=force)
