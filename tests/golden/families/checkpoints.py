"""The checkpoints of all families by name: the CASES of every module beside this one."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from golden import families
from golden.families.case import Case

CASES: dict[str, Case] = {
    case.name: case
    for module in pkgutil.iter_modules(families.__path__)
    if not module.name.startswith("test_") and module.name not in ("checkpoints", "record")
    for case in getattr(import_module(f"golden.families.{module.name}"), "CASES", ())
}
