"""Machine code is kept where the user says, is never run for other source, and is read only where it is safe."""

from __future__ import annotations

import ast
import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import quantize_cli
from quantize_cli.simd import folders, notes
from quantize_cli.simd.folders import _is_safe, _kernels_digest, cache_folder

PACKAGE = Path(quantize_cli.__file__).parent
VARIABLES = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")

#: Runs one kernel, and prints how often its machine code was found and was not, and what there is to tell the user.
RUN = """
import sys
import numpy as np
from quantize_cli.simd.notes import take_notes
from quantize_cli.simd.sixteen_bits import _to_bf16, to_bf16
out = np.empty(64, np.uint16)
to_bf16(np.full(64, 2.5, np.float32), out)
assert (out == 0x4020).all()
print(sum(_to_bf16.stats.cache_hits.values()), sum(_to_bf16.stats.cache_misses.values()))
print(*take_notes(), sep="\\n", end="", file=sys.stderr)
"""


def hits_and_misses(base: Path, code: str = RUN, **environment: str) -> tuple[int, int, str]:
    """What a process with its cache in `base` prints: hits and misses; and its standard error."""
    environment = {"NUMBA_CACHE_DIR": str(base), "PYTHONPATH": str(PACKAGE.parent), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, check=True, text=True
    )
    hits, misses = map(int, done.stdout.split())
    return hits, misses, done.stderr


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one kernel."""
    base = tmp_path_factory.mktemp("compiled")
    assert hits_and_misses(base) == (0, 1, "")
    return base


@pytest.fixture
def base(tmp_path: Path, compiled: Path) -> Path:
    """The same, to be broken."""
    return Path(shutil.copytree(compiled, tmp_path / "base"))


def kernel_in(base: Path) -> Path:
    """The only file of a cache."""
    (file,) = base.rglob("*.kernel")
    return file


@pytest.fixture
def fresh_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_told", {})
    monkeypatch.setattr(notes, "_fresh", [])


@pytest.fixture
def no_private_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_private", None)


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


def test_a_user_without_a_home_gets_a_private_place(monkeypatch, fresh_notes, no_private_folder):
    def no_home(path):
        raise RuntimeError("Could not determine home directory.")

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", no_home)
    assert cache_folder() is None
    assert folders.readable() == []
    place = folders.writable()
    assert place is not None
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert folders.readable() == [place]
    (sentence,) = notes.take_notes()
    assert sentence.startswith("Every run compiles its kernels again, because there is no home folder")
    assert notes.anything_lost()


def test_a_home_of_another_user_that_cannot_be_looked_into_is_no_fault(monkeypatch, no_private_folder):
    """As in a container that runs with a number of a user, and with the home of root."""
    usual = os.stat

    def stat_of_others(path, *args, **options):
        if str(path).startswith("/root-of-others"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return usual(path, *args, **options)

    monkeypatch.setattr(os, "stat", stat_of_others)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/root-of-others/.cache")
    with pytest.raises(PermissionError):
        Path("/root-of-others").stat()
    assert folders.readable() == []


def test_the_second_process_finds_what_the_first_one_compiled(base):
    assert hits_and_misses(base) == (1, 0, "")


@pytest.mark.slow
def test_code_that_was_compiled_with_other_settings_is_not_taken(base):
    assert hits_and_misses(base, NUMBA_OPT="0") == (0, 1, "")
    assert hits_and_misses(base) == (1, 0, "")


@pytest.mark.slow
def test_numba_s_own_choice_of_a_place_changes_nothing(tmp_path):
    base = tmp_path / "new" / "place"
    assert hits_and_misses(base, NUMBA_CACHE_LOCATOR_CLASSES="InTreeCacheLocator") == (0, 1, "")
    assert hits_and_misses(base) == (1, 0, "")


@pytest.mark.slow
def test_a_cache_that_can_only_be_read_is_read(base, tmp_path):
    read_only = "import os\nos.access = lambda path, mode: False\n" + RUN
    assert hits_and_misses(base, read_only) == (1, 0, "")
    hits, misses, said = hits_and_misses(tmp_path / "empty", read_only)
    assert (hits, misses) == (0, 1)
    assert said.endswith("cannot be written to; set NUMBA_CACHE_DIR to a folder of your own.")
    assert list((tmp_path / "empty").rglob("*.kernel")) == []


def test_without_a_place_kernels_are_compiled_for_this_run_alone(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "tmp").mkdir()
    hits, misses, said = hits_and_misses(tmp_path / "file", TMPDIR=str(tmp_path / "tmp"))
    assert (hits, misses) == (0, 1)
    assert said.startswith("Every run compiles its kernels again, because their cache ")
    assert list((tmp_path / "tmp").iterdir()) == [], "the private folder is gone"


@pytest.mark.parametrize(
    "which", [*(pytest.param(place, marks=pytest.mark.slow) for place in ("folder", "parent")), "base"]
)
def test_a_cache_that_others_can_change_is_not_read(base, which):
    (folder,) = (base / "quantize-cli").iterdir()
    place = {"folder": folder, "parent": folder.parent, "base": base}[which]
    place.chmod(0o777)
    hits, misses, said = hits_and_misses(base)
    assert (hits, misses) == (0, 1)
    assert f"because {place}, which is or holds their cache, can be written to by other users" in said


def test_a_file_that_others_can_change_is_not_read(base):
    kernel_in(base).chmod(0o666)
    assert hits_and_misses(base) == (0, 1, "")
    assert stat.S_IMODE(kernel_in(base).stat().st_mode) & 0o022 == 0


def test_a_link_is_not_read(base, tmp_path):
    file = kernel_in(base)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert hits_and_misses(base)[:2] == (0, 1)
    assert not file.is_symlink()


DAMAGE = {
    "empty": lambda _data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "without its digest": lambda data: data[32:],
    "one bit": lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
    "zeros": lambda data: bytes(len(data)),
    "a pickle that fails": lambda _data: hashlib.sha256(b"nothing").digest() + b"nothing",
}


#: Damages that the digest shows as it shows "one bit".
SHOWN_LIKEWISE = ("cut", "without its digest", "zeros")


@pytest.mark.parametrize(
    "damage",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SHOWN_LIKEWISE else []) for name in DAMAGE],
)
def test_what_is_damaged_is_compiled_again(base, damage):
    file = kernel_in(base)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    hits, misses, said = hits_and_misses(base)
    assert (hits, misses) == (0, 1)
    assert said.startswith(f"Compiled kernels in {file.parent} cannot be read (")
    assert said.endswith("they are compiled again.")
    sound = file.read_bytes()
    assert hashlib.sha256(sound[32:]).digest() == sound[:32]


@pytest.mark.parametrize("step", ["open", "replace"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, step):
    module = {"open": "os", "replace": "pathlib.Path"}[step]
    full = f"""
import os, pathlib
usual = {module}.{step}
def full(*args, **options):
    if any("{{}}/".format("quantize-cli") in str(arg) and "/." in str(arg) for arg in args):
        raise OSError({errno.ENOSPC}, "No space left on device")
    return usual(*args, **options)
{module}.{step} = full
"""
    hits, misses, said = hits_and_misses(tmp_path, full + RUN)
    assert (hits, misses) == (0, 1)
    assert said.startswith("Compiled kernels cannot be kept in ")
    assert "(No space left on device)" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_what_is_made_can_be_changed_by_no_other_user(tmp_path):
    code = "import os; os.umask(0)\n" + RUN
    (tmp_path / "base").mkdir()
    assert hits_and_misses(tmp_path / "base", code) == (0, 1, "")
    assert hits_and_misses(tmp_path / "base", code) == (1, 0, "")


@pytest.fixture
def folder(tmp_path: Path, fresh_notes: None) -> Path:
    """A folder as the cache's, safe as yet."""
    folder = tmp_path / "base" / "quantize-cli" / "digest"
    for place in (folder.parent.parent, folder.parent, folder):
        place.mkdir()
        place.chmod(0o755)
    assert _is_safe(folder)
    return folder


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
@pytest.mark.parametrize("which", ["folder", "parent"])
def test_a_folder_that_others_can_write_to_is_not_safe(folder, which, mode):
    (folder if which == "folder" else folder.parent).chmod(mode)
    assert not _is_safe(folder)
    assert "can be written to by other users" in notes.take_notes()[0]


@pytest.mark.parametrize("which", ["folder", "parent", "base"])
def test_a_folder_of_another_user_is_not_safe(folder, monkeypatch, which):
    place = {"folder": folder, "parent": folder.parent, "base": folder.parent.parent}[which]
    if os.geteuid() == 0:
        os.chown(place, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not _is_safe(folder)
    assert "belongs to another user" in notes.take_notes()[0]


def test_a_way_that_others_can_write_to_needs_the_sticky_bit(folder):
    folder.parent.parent.chmod(0o757)
    assert not _is_safe(folder)
    folder.parent.parent.chmod(0o1777)
    assert _is_safe(folder)


def test_a_way_that_the_user_s_own_group_can_write_to_is_safe(folder, monkeypatch):
    folder.parent.parent.chmod(0o775)
    monkeypatch.setattr(folders, "_is_own_group", lambda _group: True)
    assert _is_safe(folder)
    monkeypatch.setattr(folders, "_is_own_group", lambda _group: False)
    assert not _is_safe(folder)


def test_a_link_counts_as_what_it_leads_to(folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert _is_safe(link)
    folder.parent.chmod(0o777)
    assert not _is_safe(link)


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


@pytest.mark.slow
def test_every_change_of_a_module_with_kernels_changes_the_folder(tmp_path):
    modules = modules_with_kernels()
    assert {path.parts[0] for path in modules} == {"simd", "blocks", "measure", "methods"}
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def digest() -> str:
        folders.text_digest.cache_clear()
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


_MEASURED = """
import sys, numpy as np
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.measure.decoded import measure
from quantize_cli.measure.sums import SUMS
rows, importance = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 64), np.ones(64, np.float32)
for name in sys.argv[1:]:
    held = BLOCK_TYPES[name]
    packed, decoded, sums = np.empty((1, held.row_bytes(64)), np.uint8), np.empty_like(rows), np.empty((1, SUMS))
    held.quantize(rows, packed, importance)
    held.dequantize(packed, decoded)
    measure(held.unpack, packed.reshape(-1, held.block_bytes), rows, importance, sums)
    np.testing.assert_allclose(sums[0, SUM_D2], np.square(decoded - rows, dtype=np.float64).sum(), rtol=1e-6)
""".replace("import SUMS\n", "import SUM_D2, SUMS\n")


@pytest.mark.slow
def test_kernels_that_two_processes_have_compiled_do_not_call_each_others_functions(tmp_path):
    """Each process counts its functions from the same number on."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": os.fspath(tmp_path)}
    for types in (["Q4_0"], ["Q5_0"], ["Q4_0", "Q5_0"]):
        subprocess.run([sys.executable, "-c", _MEASURED, *types], env=environment, check=True)
