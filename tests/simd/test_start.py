"""A file of settings in the current folder, which may be a model's, has no say; the user's variables have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import quantize_cli

ROOT = Path(quantize_cli.__file__).parents[1]

HOSTILE = "disable_jit: 1\nopt: 0\ncuda_memory_manager: evil\nboundscheck: 1\n"

LOOK = """
import sys
finders = list(sys.meta_path)
import quantize_cli.simd.compile
import numba
from numba.core import config
assert sys.meta_path == finders, "a finder is left behind"
assert numba.config is config is sys.modules["numba.core.config"]
config.reload_config()  # as the compiler does
print(config.DISABLE_JIT, config.BOUNDSCHECK, config.CUDA_MEMORY_MANAGER, int(config.OPT), config.SHOW_HELP)
"""

HOST = """
import numba
before = dict(vars(numba.config))
import quantize_cli.simd.compile
assert before == dict(vars(numba.config))
print(numba.config.BOUNDSCHECK)
"""


def printed(code: str, folder: Path, settings: str, **environment: str) -> str:
    """What `code` prints in a folder with that file."""
    (folder / ".numba_config.yaml").write_text(settings)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=inherited | {"PYTHONPATH": str(ROOT), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_the_current_folder_s_settings_are_not_obeyed(tmp_path):
    assert printed(LOOK, tmp_path, HOSTILE) == "0 None default 3 0"


def test_the_user_s_variables_are(tmp_path):
    assert printed(LOOK, tmp_path, HOSTILE, NUMBA_SHOW_HELP="1") == "0 None default 3 1"


def test_a_process_that_has_imported_numba_keeps_its_settings(tmp_path):
    assert printed(HOST, tmp_path, "boundscheck: 1") == "1"
