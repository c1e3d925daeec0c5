"""The reports of a run as strict JSON: each dataclass field by field, in its order (docs/report.md)."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from quantize_cli.report.model import SCHEMA_VERSION, Report


def render(reports: Sequence[Report]) -> str:
    """Render ASCII JSON with a final newline; one report stands in a list as several do."""
    value = {"schema_version": SCHEMA_VERSION, "reports": [as_json(report) for report in reports]}
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def as_json(value: Any) -> Any:
    """Turn a dataclass into JSON values; infinities and NaN, which JSON does not have, become None."""
    if dataclasses.is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
