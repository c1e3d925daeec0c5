"""The sections of a calibration, which Markdown and HTML share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quantize_cli.report.calibrations import tables
from quantize_cli.report.evaluations.tables import texts
from quantize_cli.report.tables import Table, beginning
from quantize_cli.sensitivity.model import Calibration

_MOST_SENSITIVE = 20
_MOST_CHANNELS = 50
_MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what it is about, its chart on a page, and its tables."""

    heading: str
    note: str
    chart: str  #: name of the chart; "" without one
    tables: tuple[Table, ...]


def sections(calibration: Calibration) -> Iterator[Section]:
    """Yield the sections that have something to show."""
    sensitive = tables.most_sensitive(calibration, _MOST_SENSITIVE)
    if sensitive.rows:
        costs = (tables.kinds(calibration), tables.types(calibration), sensitive)
        yield Section("Sensitivity by layer and kind", tables.ABOUT_COSTS, "sensitivity", costs)
    if calibration.blocks:
        outliers = beginning(tables.channels(calibration), _MOST_CHANNELS)
        by_layer = beginning(tables.layers(calibration), _MOST_LAYERS)
        shown = (outliers, by_layer) if outliers.rows else (by_layer,)
        yield Section("Outlier dimensions", tables.ABOUT_OUTLIERS, "outliers", shown)
    experts = tables.experts(calibration)
    if experts.rows:
        note = "An expert is hardly hit if fewer tokens than a tenth of an even share went to it."
        yield Section("Experts", note, "", (beginning(experts, _MOST_LAYERS),))
    yield Section("Texts", "", "", (texts(calibration.texts),))
    model = calibration.model
    identity = Table(("What", "SHA-256"), [("config.json", model.config), ("tensor shapes", model.shapes)], 2)
    yield Section("The model", "A calibration is used only for a model with these hashes.", "", (identity,))
