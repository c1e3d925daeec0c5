"""The declared dependencies are those that the package imports, and each has a lower bound that can be installed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.check_versions import dependencies, lowest

ROOT = Path(__file__).parent.parent
DECLARED = dependencies(ROOT / "pyproject.toml")
ENGINE = dependencies(ROOT / "pyproject.toml", "calibrate")

#: Modules that are not called as what installs them; llvmlite's versions are bound to Numba's.
INSTALLED_BY = {"yaml": "pyyaml", "llvmlite": "numba"}


def imported() -> set[str]:
    """Return the top-level modules that the package imports, its own and the standard library's left out."""
    found: set[str] = set()
    for path in (ROOT / "quantize_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).partition(".")[0])
    return found - {"quantize_cli"} - sys.stdlib_module_names


def names(requirements: tuple[Requirement, ...]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def test_what_is_imported_is_declared_and_the_other_way_round():
    needed = {canonicalize_name(INSTALLED_BY.get(module, module)) for module in imported()}
    assert needed == names(DECLARED) | names(ENGINE)


def test_the_extra_of_the_engine_is_an_extra():
    assert names(ENGINE) == {"torch", "transformers", "jinja2"}
    assert not names(ENGINE) & names(DECLARED)


@pytest.mark.parametrize("requirement", DECLARED + ENGINE, ids=lambda requirement: requirement.name)
def test_every_lower_bound_satisfies_its_own_requirement(requirement):
    (pin,) = lowest(requirement).specifier
    assert pin.operator == "=="
    assert pin.version in requirement.specifier


@pytest.mark.parametrize(
    ("written", "pinned"),
    [("a>=1.2", "a==1.2"), ("a<3,>=1.2,!=1.5", "a==1.2"), ("a==1.2", "a==1.2"), ("a_b.c>=1rc1", "a_b.c==1rc1")],
)
def test_lowest(written, pinned):
    assert lowest(Requirement(written)) == Requirement(pinned)


@pytest.mark.parametrize("written", ["a", "a<2", "a>1", "a>=1,>=2"])
def test_without_one_lower_bound_nothing_is_lowest(written):
    with pytest.raises(ValueError, match="write exactly one"):
        lowest(Requirement(written))
