"""The report as strict JSON: the dataclass field by field, in its order; several are in a list (docs/report.md)."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence

from quantize_cli.report.model import SCHEMA_VERSION, Report


def render(reports: Sequence[Report]) -> str:
    """Render ASCII JSON with a final newline; infinities and NaN, which JSON does not have, become null."""
    each = [dataclasses.asdict(report) for report in reports]
    value = each[0] if len(each) == 1 else {"schema_version": SCHEMA_VERSION, "reports": each}
    return json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value
