"""Importing the library changes nothing for the process that it is imported into."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import quantize_cli

ROOT = Path(quantize_cli.__file__).parents[1]

FUNCTION = """
import numba

@numba.njit(cache=True)
def one():
    return 1
"""

LOOK = """
import os, sys, pkgutil, importlib
import numba
import ours_before

def state():
    return {name: value for name, value in vars(numba.config).items()}, dict(os.environ)

before = state()
import quantize_cli
names = [module.name for module in pkgutil.walk_packages(quantize_cli.__path__, "quantize_cli.")]
for name in names:
    if not name.endswith("__main__") and not name.startswith("quantize_cli.calibrate."):  # which needs torch
        importlib.import_module(name)
assert {"quantize_cli.simd.compile", "quantize_cli.blocks.k.q4_k", "quantize_cli.measure.accumulate"} <= set(names)
assert state() == before, "the settings have changed"

import ours_after
for module in (ours_before, ours_after):
    print(module.one.stats.cache_path)
"""


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Empty folders for everything that a library may write to."""
    places = {"HOME": "home", "XDG_CACHE_HOME": "xdg", "TMPDIR": "tmp"}
    for name in places.values():
        (tmp_path / name).mkdir()
    return {variable: str(tmp_path / name) for variable, name in places.items()}


def test_every_module_leaves_settings_folders_and_other_users_of_numba_alone(tmp_path, places):
    work = tmp_path / "work"
    work.mkdir()
    for name in ("ours_before", "ours_after"):
        (work / f"{name}.py").write_text(FUNCTION)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment = inherited | places | {"PYTHONPATH": f"{ROOT}{os.pathsep}{work}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, cwd=work)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(work / "__pycache__")] * 2
    assert [path for place in places.values() for path in Path(place).rglob("*")] == []


@pytest.mark.parametrize("module", ["gguf_file.types", "measure.errors", "measure.sums", "blocks.base", "blocks.table"])
def test_static_facts_come_without_numba(module):
    code = f"import sys, quantize_cli.{module}; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
