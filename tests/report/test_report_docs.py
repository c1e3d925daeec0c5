from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from quantize_cli.gates import result
from quantize_cli.measure import errors
from quantize_cli.methods.outcome import Measured
from quantize_cli.planning.model import Budgeted
from quantize_cli.report import model

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
SECTIONS = {
    "A report": model.Report,
    "Source": model.SourceReport,
    "Importance matrix": model.ImatrixReport,
    "Files": model.FileReport,
    "Gates": result.GateResult,
    "Budget": Budgeted,
    "Method": model.MethodReport,
    "Compared files": Measured,
    "Totals": model.Totals,
    "Types": model.TypeReport,
    "Tensors": model.TensorReport,
    "Errors": errors.TensorError,
    "Weighted errors": errors.WeightedError,
}


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_documents_its_fields_in_their_order(title):
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [
        field.name for field in dataclasses.fields(SECTIONS[title])
    ]


def test_every_dataclass_has_a_section():
    defined = {value for value in vars(model).values() if dataclasses.is_dataclass(value)}
    assert defined == set(SECTIONS.values())


def test_the_schema_version_is_the_current_one():
    assert re.findall(r"`schema_version` \|.*: (\d+) \|", PAGE) == [str(model.SCHEMA_VERSION)]
