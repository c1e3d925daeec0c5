"""The checkpoints of all families by name: the CASES of every module beside this one."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from golden.families.case import Case

#: Modules that define CASES; the others are not imported, because some need the reference's environment.
_MODULES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path != Path(__file__) and re.search(r"^CASES\b.* = ", path.read_text(), re.MULTILINE)
)

CASES: dict[str, Case] = {
    case.name: case for module in _MODULES for case in import_module(f"golden.families.{module}").CASES
}
