"""The report as strict JSON: the dataclass field by field, in its order (docs/report.md)."""

from __future__ import annotations

import dataclasses
import json
import math

from quantize_cli.report.model import Report


def render(report: Report) -> str:
    """The JSON text, ASCII, with a final newline; infinities and NaN, which JSON does not have, become null."""
    return json.dumps(_finite(dataclasses.asdict(report)), indent=2, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value
