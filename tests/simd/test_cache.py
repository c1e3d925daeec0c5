"""Machine code is kept where the user says, is never run for other source, and is read only where it is safe."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import quantize_cli
from quantize_cli.simd import cache
from quantize_cli.simd.cache import _is_safe, _kernels_digest, cache_folder
from quantize_cli.simd.rounding import nearest_int

PACKAGE = Path(quantize_cli.__file__).parent
VARIABLES = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")

#: Runs one kernel, and prints how often its machine code was found and was not.
RUN = """
import numpy as np
from quantize_cli.simd.rounding import nearest_int
assert nearest_int(np.float32(2.5)) == 2
print(sum(nearest_int.stats.cache_hits.values()), sum(nearest_int.stats.cache_misses.values()))
"""


def hits_and_misses(base: Path, code: str = RUN, **environment: str) -> tuple[int, int, str]:
    """What a process with its cache in `base` prints: hits and misses; and its standard error."""
    environment = {"NUMBA_CACHE_DIR": str(base), "PYTHONPATH": str(PACKAGE.parent), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, check=True, text=True
    )
    hits, misses = map(int, done.stdout.split())
    return hits, misses, done.stderr


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_variables_choose_the_place(monkeypatch, tmp_path, variable):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_folder().parent == tmp_path / "quantize-cli"


def test_home_is_the_default(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / ".cache" / "quantize-cli"


def test_a_relative_place_is_one_of_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "cache")
    assert cache_folder().parent == tmp_path / "cache" / "quantize-cli"


def test_the_second_process_finds_what_the_first_one_compiled(tmp_path):
    assert hits_and_misses(tmp_path / "new" / "place") == (0, 1, "")
    assert hits_and_misses(tmp_path / "new" / "place") == (1, 0, "")


def test_numba_s_own_choice_of_a_place_changes_nothing(tmp_path):
    assert hits_and_misses(tmp_path, NUMBA_CACHE_LOCATOR_CLASSES="InTreeCacheLocator") == (0, 1, "")
    assert hits_and_misses(tmp_path) == (1, 0, "")


def test_a_cache_that_can_only_be_read_is_read(tmp_path):
    hits_and_misses(tmp_path)
    refuse = """
from quantize_cli.simd.cache import _Locator
def refuse(locator):
    raise PermissionError
_Locator.ensure_cache_path = refuse
"""
    assert hits_and_misses(tmp_path, refuse + RUN) == (1, 0, "")
    assert hits_and_misses(tmp_path / "empty", refuse + RUN) == (0, 1, "")
    assert not (tmp_path / "empty").exists()


def test_without_a_place_kernels_are_compiled_for_this_run_alone(tmp_path):
    (tmp_path / "file").touch()
    assert hits_and_misses(tmp_path / "file") == (0, 1, "")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_cache_that_others_can_change_is_not_read(tmp_path):
    hits_and_misses(tmp_path)
    (folder,) = (tmp_path / "quantize-cli").iterdir()
    folder.chmod(0o777)
    hits, misses, said = hits_and_misses(tmp_path)
    assert (hits, misses) == (0, 1)
    assert f"other users can write to their cache {folder}" in said
    folder.chmod(0o755)
    assert hits_and_misses(tmp_path) == (1, 0, "")


def test_what_is_made_can_be_changed_by_no_other_user(tmp_path):
    code = "import os; os.umask(0)\n" + RUN
    assert hits_and_misses(tmp_path, code) == (0, 1, "")
    assert hits_and_misses(tmp_path, code) == (1, 0, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the cache's, safe as yet."""
    folder = tmp_path / "quantize-cli" / "digest"
    for place in (folder.parent, folder):
        place.mkdir()
        place.chmod(0o755)
    assert _is_safe(folder)
    return folder


@pytest.mark.parametrize("mode", [0o775, 0o757])
@pytest.mark.parametrize("which", ["folder", "parent"])
def test_a_folder_that_others_can_write_to_is_not_safe(folder, which, mode):
    (folder if which == "folder" else folder.parent).chmod(mode)
    with pytest.warns(RuntimeWarning, match="other users can write"):
        assert not _is_safe(folder)


@pytest.mark.parametrize("which", ["folder", "parent"])
def test_a_folder_of_another_user_is_not_safe(folder, monkeypatch, which):
    if os.geteuid() == 0:
        os.chown(folder if which == "folder" else folder.parent, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.warns(RuntimeWarning, match="other users can write"):
        assert not _is_safe(folder)


def test_a_read_only_folder_is_safe_and_a_missing_one_is_not(folder):
    folder.chmod(0o555)
    assert _is_safe(folder)
    assert not _is_safe(folder.parent / "other")


def modules_with_kernels() -> list[Path]:
    """The modules of the package that import a decorator, relative to it."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        imported = [node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        if "quantize_cli.simd.compile" in imported:
            found.append(path.relative_to(PACKAGE))
    return found


def test_every_change_of_a_module_with_kernels_changes_the_folder(tmp_path):
    modules = modules_with_kernels()
    assert {path.parts[0] for path in modules} == {"simd", "blocks", "measure"}
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def digest() -> str:
        cache._text_digest.cache_clear()
        return _kernels_digest.__wrapped__(copy)

    digests = {digest()}
    assert digests == {_kernels_digest(PACKAGE)}
    for module in [*modules, Path("simd/vector/emit.py"), Path("blocks/search/__init__.py")]:
        with (copy / module).open("a") as file:
            file.write("#")
        assert digest() not in digests, f"{module} is not covered"
        digests.add(digest())


def test_a_module_s_name_counts_too(tmp_path):
    for room, name in (("simd", "a.py"), ("blocks", "b.py")):
        (tmp_path / room).mkdir()
        (tmp_path / room / name).write_text(name)
    before = _kernels_digest.__wrapped__(tmp_path)
    (tmp_path / "blocks" / "b.py").rename(tmp_path / "blocks" / "c.py")
    (tmp_path / "blocks" / "c.py").write_text("b.py")
    assert _kernels_digest.__wrapped__(tmp_path) != before


def test_a_kernel_has_the_whole_module_s_name():
    cache = nearest_int._cache  # type: ignore[attr-defined]
    assert cache._impl.filename_base.startswith("quantize_cli.simd.rounding.nearest_int-")
