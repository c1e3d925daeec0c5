"""Compiled kernels are cached where the user may write, and nowhere if that is nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = "import numba, pathlib, quantize_cli.simd.compile; print(numba.config.CACHE_DIR)"


def cache_dir(**environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME"}}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=kept | environment, capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_the_variables_choose_the_place(tmp_path, variable):
    assert cache_dir(**{variable: str(tmp_path / "new")}).startswith(str(tmp_path / "new" / "quantize-cli"))


def test_home_is_the_default(tmp_path):
    assert cache_dir(HOME=str(tmp_path)).startswith(str(tmp_path / ".cache" / "quantize-cli"))


def test_without_a_writable_place_a_folder_serves_this_run_alone(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "tmp").mkdir()
    folder = cache_dir(NUMBA_CACHE_DIR=str(tmp_path / "file"), TMPDIR=str(tmp_path / "tmp"))
    assert folder.startswith(str(tmp_path / "tmp"))
    assert not Path(folder).exists()
