"""The calibration as an HTML page that needs no other file."""

from __future__ import annotations

import math

from quantize_cli.report import heat, markup
from quantize_cli.report.calibrations import tables
from quantize_cli.report.calibrations.page_data import page_data
from quantize_cli.report.calibrations.parts import sections
from quantize_cli.report.calibrations.sensitivity import costs_near
from quantize_cli.report.evaluations.tables import nats
from quantize_cli.report.places import places
from quantize_cli.sensitivity.model import Calibration
from quantize_cli.version import GENERATOR

_SCRIPTS = ("charts.js", "calibration.js")


def render(calibration: Calibration, *, model: str) -> str:
    """Render a page with a final newline; `model` is a path or Hub id."""
    title = tables.title(model)
    body = [markup.heading(1, title), markup.tiles(tables.headline(calibration))]
    body += map(markup.warning, tables.warnings(calibration))
    for section in sections(calibration):
        body.append(markup.heading(2, section.heading))
        if section.chart:
            body.append(markup.chart(section.chart, _heat(calibration) if section.chart == "sensitivity" else ""))
        if section.note:
            body.append(markup.note(section.note))
        body += map(markup.table, section.tables)
    body.append(markup.footer(GENERATOR))
    return markup.page(title, body, markup.packed(page_data(calibration)), _SCRIPTS)


def _heat(calibration: Calibration) -> str:
    """Render the map of sensitivities where no script runs; colours follow the logarithm."""
    costs = costs_near(calibration.tensors)
    logs = [math.log(cost.nats) if cost and 0 < cost.nats < math.inf else None for cost in costs]
    told = [log for log in logs if log is not None]
    low, width = (min(told), max(told) - min(told) or 1.0) if told else (0.0, 1.0)
    cells = [
        None if log is None or cost is None else heat.Cell((log - low) / width, f"{nats(cost.nats)} at {cost.type}")
        for log, cost in zip(logs, costs, strict=True)
    ]
    return heat.cells(places(calibration.tensors), cells)
