"""What the script of a calibration's page draws."""

from __future__ import annotations

import math
from typing import Any

from quantize_cli.report import figures
from quantize_cli.report.calibrations.outliers import LIMIT, outlier_channels
from quantize_cli.report.calibrations.sensitivity import REFERENCE, costs_near, measured_types
from quantize_cli.report.evaluations.tables import nats
from quantize_cli.report.json_report import as_json
from quantize_cli.report.places import places
from quantize_cli.sensitivity.model import Calibration

#: Most channels that the chart draws.
_MOST_CHANNELS = 8


def page_data(calibration: Calibration) -> dict[str, Any]:
    """Return the data of both charts."""
    return {"sensitivity": _sensitivity(calibration), "outliers": _outliers(calibration)}


def _sensitivity(calibration: Calibration) -> dict[str, Any]:
    """Return figures for each tensor, in the form of a report's heat map."""
    tensors = calibration.tensors
    where: dict[str, Any] = as_json(places(tensors))
    near = [None if cost is None else cost.nats for cost in costs_near(tensors)]
    measures = {f"log10 of the nats a token at {REFERENCE}, or near it": [*map(_logarithm, near)]}
    columns = [[figures.printable(tensor.name) for tensor in tensors]]
    header = ["Tensor"]
    for type_ in measured_types(tensors):
        costs = [tensor.costs.get(type_) for tensor in tensors]
        measures[f"log10 of the nats a token at {type_}"] = [*map(_logarithm, costs)]
        header.append(f"{type_}, nats a token")
        columns.append([figures.NONE if cost is None else nats(cost) for cost in costs])
    return {
        "header": header,
        "told": header[1:],
        "cells": columns,
        "places": {**where, "kinds": [figures.printable(kind) for kind in where["kinds"]]},
        "bytes": [1] * len(tensors),  # all kinds are worth showing
        "measures": measures,
    }


def _outliers(calibration: Calibration) -> dict[str, Any]:
    chosen = outlier_channels(calibration.blocks)[:_MOST_CHANNELS]
    return {
        "limit": LIMIT,
        "channels": [
            {"channel": held.channel, "ratios": [float(f"{ratio:.4g}") for ratio in held.ratios]} for held in chosen
        ],
    }


def _logarithm(cost: float | None) -> float | None:
    return None if cost is None or not (cost > 0 and math.isfinite(cost)) else round(math.log10(cost), 3)
