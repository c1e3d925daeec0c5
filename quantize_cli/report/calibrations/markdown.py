"""The calibration as GitHub-flavoured Markdown."""

from __future__ import annotations

from quantize_cli.report.calibrations import tables
from quantize_cli.report.calibrations.parts import sections
from quantize_cli.report.markdown import escaped, table
from quantize_cli.report.tables import Table
from quantize_cli.sensitivity.model import Calibration
from quantize_cli.version import GENERATOR


def render(calibration: Calibration, *, model: str) -> str:
    """Render Markdown with a final newline; `model` is a path or Hub id."""
    parts = [f"# {escaped(tables.title(model))}", table(Table(("Total", ""), tables.headline(calibration), 2))]
    parts += [f"> **Warning:** {escaped(warning)}" for warning in tables.warnings(calibration)]
    for section in sections(calibration):
        parts += [f"## {section.heading}", escaped(section.note), *map(table, section.tables)]
    parts.append(f"Written by {escaped(GENERATOR)}.")
    return "\n\n".join(filter(None, parts)) + "\n"
